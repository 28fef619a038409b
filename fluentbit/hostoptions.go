// SPDX-License-Identifier: Apache-2.0

package main

/*
#include "shim.h"
*/
import "C"

import (
	"unsafe"

	"github.com/outkpl/outkpl/fluentbit/internal/plugin"
	"github.com/outkpl/outkpl/internal/option"
)

// optionMap lists the options for hosts that check keys. It is made once and never
// freed, because the host keeps pointers into it.
func optionMap() *C.struct_kpl_option {
	type entry struct{ name, value, text string }
	var list []entry
	for _, o := range plugin.Options() {
		text := o.Doc
		if r := o.Range(option.FluentBit); r != "" && o.Kind != option.Bool {
			text += " Allowed: " + r + "."
		}
		list = append(list, entry{o.Name, o.Shown(option.FluentBit), text})
		for _, other := range o.Names()[1:] {
			list = append(list, entry{other, "", "This is " + o.Alias(other) + "."})
		}
	}
	m := C.kpl_option_map(C.int(len(list)))
	if m == nil || m.name != nil {
		return m
	}
	entries := unsafe.Slice(m, len(list))
	for i, e := range list {
		// All are strings to the host, which would otherwise read the defaults by
		// its own grammar (it knows no milliseconds) and shows nothing else for it.
		entries[i].desc = C.CString(e.text)
		if e.value != "" {
			entries[i].def_value = C.CString(e.value)
		}
		entries[i].name = C.CString(e.name)
	}
	return m
}
