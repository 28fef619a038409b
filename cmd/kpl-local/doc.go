// SPDX-License-Identifier: Apache-2.0

// Command kpl-local serves the Kinesis of package kinesistest, for trials without an AWS
// account.
//
//	kpl-local --listen 127.0.0.1:4567 --streams logs:4,audit:1 --data ./kinesis
//
// With --data all that is stored outlives the process: each change is in the folder before
// the call that made it is answered. It does not outlive the machine, since nothing is
// synced. Signatures and permissions are not checked, and records are never dropped.
package main
