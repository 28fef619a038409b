// SPDX-License-Identifier: Apache-2.0

package main

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"strings"
	"time"
	"unsafe"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/fluentbit/internal/plugin"
)

// registry shows numbers as metrics of the host. It is used by one goroutine at a time,
// and not after the exit of its instance, when the host frees what is behind it.
type registry struct {
	c        *C.struct_kpl_registry
	families []family
}

type family struct {
	c    unsafe.Pointer // nil: the host did not make it
	kind C.int
}

// newRegistry returns nil if the host has no metrics for us.
func newRegistry(in *C.struct_kpl_instance) *registry {
	if c := C.kpl_registry_new(in); c != nil {
		return &registry{c: c}
	}
	return nil
}

func (b *registry) free() { C.free(unsafe.Pointer(b.c)) }

// packed puts strings one after another, each ended by a zero byte, as C reads them.
func packed(list []string) *C.char {
	var s strings.Builder
	for _, v := range list {
		s.WriteString(strings.ReplaceAll(v, "\x00", ""))
		s.WriteByte(0)
	}
	return C.CString(s.String())
}

// Family implements plugin.Registry.
func (b *registry) Family(f plugin.Family) int {
	kind := map[core.MetricKind]C.int{core.Counter: C.KPL_COUNTER, core.Gauge: C.KPL_GAUGE, core.Distribution: C.KPL_HISTOGRAM}[f.Kind]
	name, help, labels := C.CString(f.Name), C.CString(f.Help), packed(f.Labels)
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(help))
	defer C.free(unsafe.Pointer(labels))
	c := C.kpl_family(b.c, kind, name, help, C.int(len(f.Labels)), labels, (*C.double)(unsafe.SliceData(f.Bounds)), C.size_t(len(f.Bounds)))
	b.families = append(b.families, family{c, kind})
	return len(b.families) - 1
}

// Set implements plugin.Registry.
func (b *registry) Set(id int, labels []string, v float64) {
	f := b.families[id]
	if f.c == nil {
		return
	}
	values := packed(labels)
	defer C.free(unsafe.Pointer(values))
	C.kpl_set(b.c, f.kind, f.c, C.uint64_t(time.Now().UnixNano()), C.double(v), C.int(len(labels)), values)
}

// SetHistogram implements plugin.Registry.
func (b *registry) SetHistogram(id int, labels []string, cumulative []uint64, sum float64, count uint64) {
	f := b.families[id]
	if f.c == nil {
		return
	}
	counts := append(cumulative[:len(cumulative):len(cumulative)], count) // a copy, with the total behind
	values := packed(labels)
	defer C.free(unsafe.Pointer(values))
	C.kpl_set_histogram(b.c, f.c, C.uint64_t(time.Now().UnixNano()), (*C.uint64_t)(unsafe.SliceData(counts)), C.double(sum), C.uint64_t(count),
		C.int(len(labels)), values)
}
