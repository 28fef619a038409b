// SPDX-License-Identifier: Apache-2.0

// Command release builds what is published: the plugin for Linux on amd64 and arm64,
// the static programs for Linux, macOS and Windows, a bill of materials for each, and
// the checksums of all.
//
//	go run ./internal/release -version v1.2.3 -out build/release
//	go run ./internal/release -check -out build/release    # only look at what is there
//
// # Guarantees
//
//   - The same sources, version, Go and C compiler give the same bytes, in whatever
//     folder: no paths, no times, no state of version control, no random build id.
//   - The plugin asks for no symbol of glibc newer than -glibc; otherwise the build fails
//     and names the symbols.
//   - Every module in a program has a licence of the list in licences.go.
//
// # Limits
//
// Plugins need a C compiler for each architecture. With "-cc zig" (the default of make
// release) that is the compiler of the Python package ziglang, which brings the
// old glibc for both; with "-cc gcc" it is gcc and aarch64-linux-gnu-gcc, and the glibc
// is that of the machine.
package main
