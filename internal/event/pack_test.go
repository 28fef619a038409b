// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// The helpers below write MessagePack byte by byte, so that tests decide about
// every head form. pack uses a library and the shortest forms.

func pack(t testing.TB, v any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatalf("cannot pack test value: %v", err)
	}
	return b
}

func cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func str(s string) []byte {
	switch n := len(s); {
	case n < 32:
		return append([]byte{0xa0 | byte(n)}, s...)
	case n < 256:
		return append([]byte{0xd9, byte(n)}, s...)
	case n < 65536:
		return append(binary.BigEndian.AppendUint16([]byte{0xda}, uint16(n)), s...)
	default:
		return append(binary.BigEndian.AppendUint32([]byte{0xdb}, uint32(n)), s...)
	}
}

func bin(s string) []byte {
	return append([]byte{0xc4, byte(len(s))}, s...)
}

func f64(f float64) []byte {
	return binary.BigEndian.AppendUint64([]byte{0xcb}, math.Float64bits(f))
}

func f32(f float32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0xca}, math.Float32bits(f))
}

// fixmap writes a map of keys and values that are packed already.
func fixmap(kv ...[]byte) []byte {
	return append([]byte{0x80 | byte(len(kv)/2)}, cat(kv...)...)
}

func fixarray(v ...[]byte) []byte {
	return append([]byte{0x90 | byte(len(v))}, cat(v...)...)
}

func eventTime(sec, nsec uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0xd7, 0}, sec)
	return binary.BigEndian.AppendUint32(b, nsec)
}

// v2 is an event as the host's fast encoder writes it.
func v2(sec, nsec uint32, body []byte) []byte {
	return cat([]byte{0x92, 0x92}, eventTime(sec, nsec), []byte{0x80}, body)
}

// nested is a value of n arrays inside each other.
func nested(n int) []byte {
	b := make([]byte, n, n+1)
	for i := range b {
		b[i] = 0x91
	}
	return append(b, 0x01)
}

// kubernetesChunk is about size bytes of container logs with the fields that the
// kubernetes filter adds. Every third line is JSON text and so full of quotes.
func kubernetesChunk(size int) []byte {
	lines := []string{
		"10.244.%d.17 - - [24/Nov/2026:07:31:%02d +0000] \"GET /api/v1/orders?page=%d HTTP/1.1\" 200 5316 \"-\" \"curl/8.5.0\" rt=0.012",
		"2026-11-24T07:31:02.%06dZ INFO reconciler finished, namespace shop revision %d took %d ms without changes to the deployment",
		"{\"level\":\"info\",\"ts\":\"2026-11-24T07:31:02.%06dZ\",\"logger\":\"http\",\"msg\":\"request handled\",\"status\":200,\"id\":%d,\"ms\":%d}",
	}
	b := make([]byte, 0, size+2048)
	for i := 0; len(b) < size; i++ {
		labels := fixmap(str("app.kubernetes.io/name"), str("orders"), str("pod-template-hash"), str("6f9c8d7b54"), str("tier"), str("backend"))
		k8s := fixmap(
			str("pod_name"), str(fmt.Sprintf("orders-6f9c8d7b54-x%04d", i%97)),
			str("namespace_name"), str("shop"),
			str("pod_id"), str("7d0f6f0c-6c6e-4e6b-9d2d-0c5b1a2e3f40"),
			str("labels"), labels,
			str("host"), str("ip-10-0-17-23.eu-central-1.compute.internal"),
			str("container_name"), str("orders"),
			str("docker_id"), str("b6c1c3f1d2a94f0e8a7c6b5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f"),
			str("container_image"), str("registry.example.com/shop/orders:1.42.0"),
		)
		body := fixmap(
			str("stream"), str("stdout"),
			str("logtag"), str("F"),
			str("log"), str(fmt.Sprintf(lines[i%3], i%250, i%60, i%1000)),
			str("kubernetes"), k8s,
		)
		b = append(b, v2(1795505462+uint32(i/500), uint32(i%1000)*1000000, body)...)
	}
	return b
}
