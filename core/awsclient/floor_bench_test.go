// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/sha256"
	"io"
	"net"
	"testing"
)

// BenchmarkFloor measures what a byte costs that leaves the process whatever else is done
// with it: the digests that the API and the aggregates want, one copy, the cipher of TLS in
// its records of 16 KiB, and the kernel's way over loopback, both ends.
func BenchmarkFloor(b *testing.B) {
	const record = 16 << 10
	data, out := make([]byte, 1<<20), make([]byte, 0, 1<<20)
	run := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
	run("copy", func() { out = append(out[:0], data...) })
	run("md5", func() { md5.Sum(data) })
	run("sha256", func() { sha256.Sum256(data) })
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	nonce := make([]byte, gcm.NonceSize())
	run("aes-gcm", func() {
		for rest := data; len(rest) > 0; rest = rest[record:] {
			out = gcm.Seal(out[:0], nonce, rest[:record], nil)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c})
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	run("loopback", func() {
		for rest := data; len(rest) > 0; rest = rest[record:] {
			if _, err := c.Write(rest[:record]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
