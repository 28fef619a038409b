// SPDX-License-Identifier: Apache-2.0

// Package core is the producer.
package core
