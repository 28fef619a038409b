// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"reflect"
	"slices"

	"github.com/outkpl/outkpl/internal/ledger"
)

// Fingerprint stands for everything that shapes the records of contents. Numbers of
// records mean nothing under another one.
type Fingerprint = ledger.Fingerprint

// Identity is what a content is known by: its Scope, its length and 128 bits of its
// SHA-256. Together with the content's Plan it says which record a number means, also
// where the content itself is not at hand.
type Identity = ledger.Identity

// FingerprintOf makes the Fingerprint of an encoder's version and of options, a struct or
// a pointer to one. Every field of it counts, those of structs within it, too, except the
// ones named by without, such as "Timeout" or "Log.Level": so an option that is added
// later counts until it is decided that it shapes no record.
//
// It is the same in every process. A field with the zero value is as good as none, so an
// option that is new and not set changes nothing. A field that is neither number, text,
// boolean, a list of those, nor a struct, has to be named.
func FingerprintOf(encoder int, options any, without ...string) Fingerprint {
	h := sha256.New()
	writeText(h, fmt.Sprint("encoder ", encoder))
	v := reflect.ValueOf(options)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	writeFields(h, "", v, without)
	return Fingerprint(h.Sum(nil)[:len(Fingerprint{})])
}

// writeFields writes the names and values of those fields of a struct that are set.
func writeFields(h hash.Hash, prefix string, v reflect.Value, without []string) {
	for i := range v.NumField() {
		path, f := prefix+v.Type().Field(i).Name, v.Field(i)
		switch {
		case slices.Contains(without, path) || f.IsZero():
		case f.Kind() == reflect.Struct:
			writeFields(h, path+".", f, without)
		default:
			writeText(h, path)
			writeValue(h, path, f)
		}
	}
}

func writeValue(h hash.Hash, path string, v reflect.Value) {
	switch {
	case v.CanInt():
		writeText(h, fmt.Sprint(v.Int()))
	case v.CanUint():
		writeText(h, fmt.Sprint(v.Uint()))
	case v.CanFloat():
		writeText(h, fmt.Sprint(v.Float()))
	case v.Kind() == reflect.Bool:
		writeText(h, fmt.Sprint(v.Bool()))
	case v.Kind() == reflect.String:
		writeText(h, v.String())
	case v.Kind() == reflect.Slice:
		writeText(h, fmt.Sprint(v.Len()))
		for i := range v.Len() {
			writeValue(h, path, v.Index(i))
		}
	default:
		panic("the option " + path + " has no fingerprint")
	}
}

// writeText writes text with its length, so that no two rows of texts look alike.
func writeText(h hash.Hash, s string) {
	_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(s)))) // never fails
	_, _ = h.Write([]byte(s))
}
