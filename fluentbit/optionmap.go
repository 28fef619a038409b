// SPDX-License-Identifier: Apache-2.0

package main

/*
#include "shim.h"
*/
import "C"

import (
	"unsafe"

	"github.com/outkpl/outkpl/fluentbit/internal/plugin"
)

// optionMap lists the options for hosts that check keys. It is made once and never
// freed, because the host keeps pointers into it.
func optionMap() *C.struct_kpl_option {
	options := plugin.Options()
	m := C.kpl_option_map(C.int(len(options)))
	if m == nil || m.name != nil {
		return m
	}
	entries := unsafe.Slice(m, len(options))
	for i := range options {
		entry := &entries[i]
		desc := options[i].Description
		if r := options[i].Range; r != "" {
			desc += " Allowed: " + r + "."
		}
		// All are strings to the host, which would otherwise read the defaults by
		// its own grammar (it knows no milliseconds) and shows nothing else for it.
		entry.desc = C.CString(desc)
		if d := options[i].Default; d != "" {
			entry.def_value = C.CString(d)
		}
		entry.name = C.CString(options[i].Name)
	}
	return m
}
