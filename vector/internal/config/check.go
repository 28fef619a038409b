// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/internal/event"
)

func checkAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("not of the form host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return errors.New("the port is not a number from 0 to 65535")
	}
	return nil
}

func checkAddressOrOff(s string) error {
	if s == "off" {
		return nil
	}
	return checkAddress(s)
}

func checkEnvName(s string) error {
	if strings.ContainsAny(s, "= \x00") {
		return errors.New("not the name of an environment variable")
	}
	return nil
}

func checkStream(s string) error {
	_, _, err := core.ParseStream(s)
	return err
}

func checkPattern(s string) error {
	_, err := path.Match(s, "")
	return err
}

func checkMatch(s string) error {
	if !strings.HasPrefix(s, "/") {
		return errors.New("never fits a path; want it to begin with /")
	}
	return checkPattern(s)
}

func checkRegion(s string) error {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return errors.New("not the name of an AWS region, such as eu-west-1")
	}
	return nil
}

func checkEndpoint(s string) error {
	_, err := awsclient.ParseEndpoint(s)
	return err
}

func checkProxy(s string) error {
	u, err := awsclient.ParseProxy(s)
	if err != nil {
		return err
	}
	if _, has := u.User.Password(); has {
		return errors.New("a password does not belong here; use the environment variable HTTPS_PROXY")
	}
	return nil
}

func checkRole(s string) error {
	if !strings.HasPrefix(s, "arn:") || !strings.Contains(s, ":role/") {
		return errors.New("not the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)")
	}
	return nil
}

// checkKey leaves the grammar to package event, whose rules for tags make no sense
// here.
func checkKey(s string) error {
	if s == "$TAG" || strings.HasPrefix(s, "$TAG[") {
		return errors.New("requests have no tag; a field of that name is $['TAG']")
	}
	_, err := event.NewShaper(event.Config{PartitionKey: s})
	return err
}

func checkMissing(s string) error {
	switch s {
	case Spread, Drop, DeadLetters, Reject:
		return nil
	}
	if strings.HasPrefix(s, ConstantPrefix) {
		return checkKey(s)
	}
	return errors.New("not one of the allowed words")
}

// checkTogether finds settings that do not go with each other. What rests on a value
// that was refused, and so is not in c, is not judged.
func (c *Config) checkTogether(l *loader) {
	refused := maps.Clone(l.refused)
	bad := func(key, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		for other := range refused {
			if key == other || strings.Contains(text, other) {
				return
			}
		}
		place := l.sources[key]
		if entry, _, _ := strings.Cut(key, "."); place == "" {
			place = l.sources[entry+".match"]
		}
		l.problem(place, key, text)
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		bad("tls.cert_file", "tls.cert_file and tls.key_file go together; only one of them is set")
	}
	if c.TLS.ClientCAFile != "" && c.TLS.CertFile == "" {
		bad("tls.client_ca_file", "tls.client_ca_file needs tls.cert_file and tls.key_file")
	}
	if c.DeadLetter.File != "" && c.DeadLetter.Stream != "" {
		bad("dead_letter.stream", "dead_letter.file and dead_letter.stream exclude each other")
	}
	if need := c.Limits.Need(); c.Limits.Memory < need {
		bad("limits.memory", "value %s is below %s, which is what the largest body takes by limits.wire_max_size, limits.body_max_size and limits.events; it would never be let in",
			FormatSize(c.Limits.Memory), FormatSize(need))
	}
	if p := &c.Producer; p.RetryBackoffMin > p.RetryBackoffMax {
		bad("producer.retry_backoff_min", "value %s is above producer.retry_backoff_max = %s", p.RetryBackoffMin, p.RetryBackoffMax)
	}
	if c.Server.Listen == c.Server.AdminListen && !strings.HasSuffix(c.Server.Listen, ":0") {
		bad("server.admin_listen", "value %s is the address of server.listen; want another one, or off", c.Server.AdminListen)
	}
	c.AWS.check(bad)
	c.checkMetrics(bad)
	c.checkNative(bad)
	letters := c.DeadLetter.File != "" || c.DeadLetter.Stream != ""
	c.completeRegion(l, bad)
	c.checkStreams(bad)
	c.Route.check("route.", letters, bad)
	first := map[string]int{}
	for i := range c.Routes {
		match := c.Routes[i].Match
		if before, seen := first[match]; seen {
			bad(fmt.Sprintf("routes[%d].match", i), "value %q is that of routes[%d], which wins; want each pattern once", match, before)
		} else {
			first[match] = i
		}
		prefix := fmt.Sprintf("routes[%d].", i)
		c.Routes[i].check(prefix, letters, func(key, format string, args ...any) {
			if l.sources[key] != "" { // or it is the value of route, which was judged
				bad(key, format, args...)
			}
		})
	}
}

// check finds settings of AWS that do not go with each other.
func (a *AWS) check(bad func(key, format string, args ...any)) {
	for _, o := range []struct {
		key string
		on  bool
	}{{"aws.fips", a.FIPS}, {"aws.dual_stack", a.DualStack}} {
		if o.on && a.Endpoint != "" {
			bad(o.key, "value true chooses among the endpoints of AWS, but aws.endpoint = %q is used; want one or the other", a.Endpoint)
		}
	}
	if a.ExternalID != "" && a.RoleARN == "" {
		bad("aws.external_id", "it is only sent when a role is assumed, but aws.role_arn is not set; want both or neither")
	}
}

// completeRegion takes the region from the ARNs of streams. One client writes to all of
// them, so they have to agree, and records would go to a stream of the same name elsewhere
// if they differed from aws.region.
func (c *Config) completeRegion(l *loader, bad func(key, format string, args ...any)) {
	type named struct{ key, stream string }
	list := []named{{"route.stream", c.Route.Stream}}
	for i := range c.Routes {
		if key := fmt.Sprintf("routes[%d].stream", i); l.sources[key] != "" {
			list = append(list, named{key, c.Routes[i].Stream})
		}
	}
	list = append(list, named{"dead_letter.stream", c.DeadLetter.Stream})
	from := "aws.region"
	for _, n := range list {
		_, region, err := core.ParseStream(n.stream)
		switch {
		case err != nil || region == "":
		case c.AWS.Region == "" && l.refused["aws.region"]:
		case c.AWS.Region == "":
			c.AWS.Region, from = region, n.key
			l.sources["aws.region"] = "the ARN in " + n.key
		case region != c.AWS.Region:
			bad(n.key, "value %q is in the region %s, but %s says %s; want the same, or no aws.region", n.stream, region, from, c.AWS.Region)
		}
	}
}

// checkStreams finds paths whose requests would all be refused.
func (c *Config) checkStreams(bad func(key, format string, args ...any)) {
	none := func(r *Route) bool { return r.Stream == "" && len(r.Streams) == 0 }
	lacks := func(prefix string) {
		bad(prefix+"stream", "neither %[1]sstream nor %[1]sstreams is set, so that every request would be refused; want a stream, or patterns of streams that requests may name", prefix)
	}
	if none(&c.Route) && !slices.ContainsFunc(c.Routes, func(r Route) bool { return !none(&r) }) {
		lacks("route.")
		return
	}
	for i := range c.Routes {
		if none(&c.Routes[i]) {
			lacks(fmt.Sprintf("routes[%d].", i))
		}
	}
}

// check also settles what auto stands for.
func (r *Route) check(prefix string, letters bool, bad func(key, format string, args ...any)) {
	for _, policy := range []*string{&r.TooLarge, &r.Invalid} {
		switch {
		case *policy == Auto && letters:
			*policy = DeadLetters
		case *policy == Auto:
			*policy = Drop
		}
	}
	if r.Malformed == Auto && letters {
		r.Malformed = DeadLetters // without a place it depends on how much is malformed
	}
	if _, err := event.NewCompression(r.Compression, r.CompressionLevel); err != nil {
		bad(prefix+"compression_level", "%v", err)
	} else if _, err := event.NewCombine(r.CombineConfig()); err != nil {
		bad(prefix+"combine", "%v", err)
	}
	if letters {
		return
	}
	for _, p := range []struct{ key, value string }{
		{"partition_key_missing", r.PartitionKeyMissing}, {"too_large", r.TooLarge},
		{"invalid", r.Invalid}, {"malformed", r.Malformed},
	} {
		if p.value == DeadLetters {
			bad(prefix+p.key, "value %s needs dead_letter.file or dead_letter.stream", p.value)
		}
	}
}
