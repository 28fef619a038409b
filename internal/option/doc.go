// SPDX-License-Identifier: Apache-2.0

// Package option is the kit from which all programs make their options: one table says
// name, kind, unit, range, default and meaning, and everything else comes from it.
//
//	options := []option.Option[Config]{{
//		Spec:  option.Spec{Name: "poll", Kind: option.Duration, Default: "1s", Min: int64(200 * time.Millisecond), Max: int64(time.Hour), Doc: "Pause between two reads."},
//		Field: func(c *Config) any { return &c.Poll },
//	}}
//	note, problem := options[0].Set(option.Plain, &cfg, "poll", "5ms", nil)
//	// problem: poll: "5ms": out of range; allowed: 200ms to 1h
//
// Package table has the options that several programs share.
//
// # Guarantees
//
//   - A Problem has one form in all programs: `key: "value": what is wrong; allowed: range`,
//     with the place before it and a hint behind it where there is one.
//   - A name that is not known gets a hint from the tables alone, so that no hint names an
//     option that does not exist.
//   - An alias sets the same option, and gives a line that says so.
//
// # Limits
//
// There is no reader of files here: kpl-http alone has a file, and a YAML library is not
// for the other programs. kong, cobra and koanf are not used: the first two stop at the first
// mistake and know one source, the command line; koanf knows all sources but neither the
// line of a value nor the origin of what is in effect. What would be left for them is
// the splitting of a command line, which takes 40 lines here.
package option
