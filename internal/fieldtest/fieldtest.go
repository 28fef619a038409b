// SPDX-License-Identifier: Apache-2.0

// Package fieldtest changes the fields of option structs one by one, for tests that hold
// a statement against every option, those that are added later included.
//
//	fieldtest.Each(t, &cfg, func(path string) {
//		// one field of cfg has another value here
//	})
package fieldtest

import (
	"reflect"
	"testing"
	"unsafe"
)

// Each calls f for each field of the struct that p points to, those of structs within it
// included, with the field changed and all others as they are. The path is such as
// "Log.Level". Fields that have no other value, such as interfaces and functions, are
// given as they are.
func Each(t *testing.T, p any, f func(path string)) {
	t.Helper()
	each(reflect.ValueOf(p).Elem(), "", f)
}

func each(v reflect.Value, prefix string, f func(path string)) {
	for i := range v.NumField() {
		path := prefix + v.Type().Field(i).Name
		field := v.Field(i)
		field = reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem() // unexported ones, too
		if field.Kind() == reflect.Struct {
			each(field, path+".", f)
			continue
		}
		saved := reflect.New(field.Type()).Elem()
		saved.Set(field)
		change(field)
		f(path)
		field.Set(saved)
	}
}

func change(v reflect.Value) {
	switch {
	case v.CanInt():
		v.SetInt(v.Int() + 1)
	case v.CanUint():
		v.SetUint(v.Uint() + 1)
	case v.CanFloat():
		v.SetFloat(v.Float() + 1)
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.Kind() == reflect.String:
		v.SetString(v.String() + "x")
	case v.Kind() == reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	}
}
