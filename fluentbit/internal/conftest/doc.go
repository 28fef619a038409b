// SPDX-License-Identifier: Apache-2.0

// Package conftest has no code: its tests run the configurations of the folder conf
// against an in-process Kinesis, and count what arrives.
//
//	make build
//	OUT_KPL_SO=$PWD/build/out_kpl.so FLB_HOST=$PWD/build/flb-host go test ./fluentbit/internal/conftest
//	FLUENT_BIT=/path/fluent-bit OUT_KPL_SO=... FLB_HOST=... go test -v ./fluentbit/internal/conftest
//
// The output section goes through the host program of fluentbit/internal/host, and the whole
// file through a real Fluent Bit if FLUENT_BIT names one or one is on PATH. What is
// missing is skipped with a message; without plugin and host program the tests fail
// if CI is true.
package conftest
