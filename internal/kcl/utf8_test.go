// SPDX-License-Identifier: Apache-2.0

package kcl

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"os/exec"
	"strings"
	"testing"
)

// edges are the bytes at which the rules of UTF-8 change; the digest is that of
// testdata/Decode.java, run on OpenJDK 17.0.15, for all keys of one to four of them.
const (
	edges       = "417f808f909fa0bfc1c2dfe0e1edeeeff0f1f4f5f8ff"
	edgesDigest = "5977124afc77b28cef1a9539a90847a725dcfe4053cfb862ef67471abfe5ed96"
)

func TestKeysAreDecodedAsJavaDoes(t *testing.T) {
	for in, want := range map[string]string{
		"k\xff\xfe":              "k\ufffd\ufffd",
		"\xe2\x82x":              "\ufffdx",                  // one for the beginning of a character
		"\xf0\x9f\x98":           "\ufffd",                   // also at the end
		"\xe0\x80\x80":           "\ufffd\ufffd\ufffd",       // no character begins so
		"\xed\xa0\x80":           "\ufffd",                   // a surrogate is one, the standard recommends three
		"\xf4\x90\x80\x80":       "\ufffd\ufffd\ufffd\ufffd", // above the last character
		"\u00e9\u20ac\U0001f600": "\u00e9\u20ac\U0001f600",
	} {
		if got := DecodeUTF8(in); got != want {
			t.Errorf("unexpected text of %q; got %q; want %q", in, got, want)
		}
	}
	alphabet, err := hex.DecodeString(edges)
	if err != nil {
		t.Fatal(err)
	}
	d := sha256.New()
	for n := 1; n <= 4; n++ {
		addKeys(d, alphabet, make([]byte, n), 0)
	}
	if got := hex.EncodeToString(d.Sum(nil)); got != edgesDigest {
		t.Errorf("unexpected digest of all texts; got %s; want Java's %s", got, edgesDigest)
	}
}

func addKeys(d hash.Hash, alphabet, key []byte, at int) {
	if at == len(key) {
		d.Write([]byte(DecodeUTF8(string(key)) + "\n"))
		return
	}
	for _, b := range alphabet {
		key[at] = b
		addKeys(d, alphabet, key, at+1)
	}
}

// The Java of this machine, if there is one, decodes as the one that made the digest.
func TestDigestIsThatOfJava(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Java")
	}
	java, err := exec.LookPath("java")
	if err != nil {
		t.Skip("there is no java")
	}
	out, err := exec.CommandContext(t.Context(), java, "testdata/Decode.java", edges, "4").CombinedOutput()
	if err != nil {
		t.Fatalf("cannot run Java: %s\n%s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got != edgesDigest {
		t.Errorf("unexpected digest; got %s; want %s", got, edgesDigest)
	}
}
