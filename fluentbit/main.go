// SPDX-License-Identifier: Apache-2.0

package main

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/cgo"
	"runtime/debug"
	"unsafe"

	"github.com/fluent/fluent-bit-go/output"

	"github.com/outkpl/outkpl/fluentbit/internal/plugin"
)

const (
	name        = "kpl"
	description = "Amazon Kinesis Data Streams with KPL aggregation"
)

func main() {} // c-shared wants one

// reloads outlives a hot reload: the host never unloads a Go library.
var reloads plugin.Reloads

// instance is the Go side of one output of the host.
type instance struct {
	plugin   *plugin.Instance
	cfg      plugin.Config
	logger   *logSink
	registry *registry // nil: the host has no metrics for us
}

// codes are the answers in the host's terms.
var codes = map[plugin.Code]C.int{
	plugin.OK:    output.FLB_OK,
	plugin.Retry: output.FLB_RETRY,
	plugin.Error: output.FLB_ERROR,
}

// kplRegister is called on the main thread, again at each hot reload.
//
//export kplRegister
func kplRegister(def *C.struct_kpl_def) (ret C.int) {
	defer func() {
		if recover() != nil {
			ret = -1
		}
	}()
	entered("register")
	cname, cdesc := C.CString(name), C.CString(description)
	defer C.free(unsafe.Pointer(cname))
	defer C.free(unsafe.Pointer(cdesc))
	C.kpl_fill_def(def, cname, cdesc, optionMap())
	return 0
}

// kplInit is called on the engine thread. Configuration can be read here only.
//
//export kplInit
func kplInit(p *C.struct_kpl_plugin, in *C.struct_kpl_instance) (ret C.int) {
	sink := &logSink{in: in}
	log := slog.New(&logHandler{sink: sink})
	defer func() {
		if v := recover(); v != nil {
			log.Error("cannot start because of a mistake in the plugin; please report this", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			ret = output.FLB_ERROR
		}
		if ret != output.FLB_OK {
			sink.close()
		}
	}()
	entered("init")
	startProfile()
	cfg, err := plugin.ParseConfig(hostConfig{p}, os.Getenv)
	if err != nil {
		for _, e := range plugin.Problems(err) {
			log.Error(e.Error())
		}
		return output.FLB_ERROR
	}
	deps := plugin.Deps{Logger: log, Name: outputName(in), Reloads: &reloads}
	if C.kpl_stop_known() != 0 {
		deps.Stopping = func() bool { return C.kpl_stopping() != 0 }
	}
	b := newRegistry(in)
	if b != nil {
		deps.Registry = b
	}
	inst, err := plugin.New(cfg, deps)
	if err != nil {
		if b != nil {
			b.free()
		}
		log.Error(err.Error())
		return output.FLB_ERROR
	}
	in.handle = C.uintptr_t(cgo.NewHandle(&instance{plugin: inst, cfg: cfg, logger: sink, registry: b}))
	go work(in, inst)
	return output.FLB_OK
}

// outputName is that of an output, which is the same after a restart.
func outputName(in *C.struct_kpl_instance) string {
	if name := C.kpl_output_name(in); name != nil {
		return C.GoString(name)
	}
	return fmt.Sprintf("output-%d", int(in.number))
}

// work serves flushes until the instance is closed. The goroutine is not tied to
// its thread: parked in C it occupies one anyway, and while it waits for Kinesis it
// needs none.
func work(in *C.struct_kpl_instance, inst *plugin.Instance) {
	for {
		var spare C.int
		req := C.kpl_next(in, &spare)
		if req == nil {
			return
		}
		if spare != 0 {
			go work(in, inst)
		}
		// The bytes belong to the host and stay where they are until the answer.
		chunk := unsafe.Slice((*byte)(req.data), int(req.size))
		C.kpl_answer(in, req, flush(inst, C.GoString(req.tag), chunk))
	}
}

// flush returns the answer in the host's terms. Flush does not panic; whatever else
// does must not end the host.
func flush(inst *plugin.Instance, tag string, chunk []byte) (ret C.int) {
	defer func() {
		if recover() != nil {
			ret = output.FLB_RETRY
		}
	}()
	entered("flush")
	defer traceFlush(len(chunk))()
	return codes[inst.Flush(tag, chunk)]
}

// kplExit is called on the engine thread, after the last flush.
//
//export kplExit
func kplExit(in *C.struct_kpl_instance) {
	h := cgo.Handle(in.handle)
	inst := h.Value().(*instance)
	func() {
		defer func() {
			if v := recover(); v != nil {
				fmt.Fprintf(os.Stderr, "[output:kpl] panic at exit: %v\n%s", v, debug.Stack())
			}
		}()
		entered("exit")
		ctx, cancel := context.WithTimeout(context.Background(), inst.cfg.FlushTimeout)
		defer cancel()
		_ = inst.plugin.Close(ctx) // logged there
	}()
	C.kpl_close(in)
	inst.plugin.Retire() // no flush is under way any more
	stopProfile()
	if inst.registry != nil {
		inst.registry.free()
	}
	inst.logger.close() // from here on the host's instance may be gone
	h.Delete()
	C.kpl_instance_free(in)
	leaks()
}

// hostConfig reads the output section by way of the host.
type hostConfig struct{ p *C.struct_kpl_plugin }

// Get implements plugin.ConfigGetter.
func (c hostConfig) Get(key string) string {
	k := C.CString(key)
	defer C.free(unsafe.Pointer(k))
	return C.GoString(C.kpl_property(c.p, k))
}
