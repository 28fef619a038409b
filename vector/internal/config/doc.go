// SPDX-License-Identifier: Apache-2.0

// Package config is the configuration of kpl-http: one table of options, from which
// come the YAML file's keys, the names of environment variables and flags, all
// checks, the JSON Schema for editors and the table in docs/http.md.
//
//	cfg, err := config.Load(config.Sources{File: "kpl-http.yaml", Environ: os.Environ(), Args: os.Args[1:]})
//	if err != nil {
//		return err // every problem of all sources, each with its place
//	}
//	producer, err := core.New(client, cfg.Producer.Options()...)
//
// # Guarantees
//
//   - A flag wins over an environment variable, that over the file, and that over
//     the default.
//   - An unknown key is refused, with the name that was probably meant. Every
//     problem is reported at once, with place, key, value and what is allowed.
//   - No option holds a secret. Secrets come from files or from environment
//     variables that an option names, so printing a configuration shows none.
//
// # Limits
//
// The file is plain YAML: no anchors, aliases, tags or merge keys, and one document.
// Options of single routes (routes[]) can be set in the file only.
package config
