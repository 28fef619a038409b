// SPDX-License-Identifier: Apache-2.0

// Package shippers runs real log shippers against kpl-http and a Kinesis that throttles, with a
// restart of kpl-http in between, and counts what is read back: make shippers.
//
// They are an OpenTelemetry Collector that is built from Go modules (folder collector, a module
// of its own), OpenTelemetry's SDKs for Python and JavaScript, syslog-ng, rsyslog and curl.
// Variable SHIPPERS names those to run, or all; without it nothing is run. One that is not
// installed is left out with a line that says so, or is a failure with CI=true.
//
// All of them send at the same time. Each has a name, and events that number through. A shipper
// whose program gives up on events, and says which, must have lost just those.
package shippers
