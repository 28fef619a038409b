// SPDX-License-Identifier: Apache-2.0

// Package table has the options that several programs share: how a producer works, how AWS
// is reached, where dead letters go, what is measured. A program takes them with option.Of, and
// changes a default or a sentence with option.With.
//
//	options := option.Of("aws.", func(c *Config) *table.AWS { return &c.AWS }, table.AWSOptions())
//
// Names, ranges and defaults are those of packages core and awsclient, unless said otherwise.
package table
