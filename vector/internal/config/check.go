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
	"github.com/outkpl/outkpl/internal/option"
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

// streamForm says what names a stream, for people.
const streamForm = "1 to 128 of a-z A-Z 0-9 _ . -, or an ARN (arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME)"

func checkStream(s string) error {
	if _, _, err := core.ParseStream(s); err != nil {
		return errors.New("not the name of a stream")
	}
	return nil
}

func checkPattern(s string) error {
	_, err := path.Match(s, "")
	return err
}

func checkMatch(s string) error {
	if !strings.HasPrefix(s, "/") {
		return errors.New("never fits a path, which begins with /")
	}
	return checkPattern(s)
}

func checkProxy(s string) error {
	u, err := awsclient.ParseProxy(s)
	if err != nil {
		return errors.New("not the URL of a proxy")
	}
	if _, has := u.User.Password(); has {
		return errors.New("a password does not belong here; use the environment variable HTTPS_PROXY")
	}
	return nil
}

// checkKey leaves the grammar to package event, whose rules for tags make no sense
// here.
func checkKey(s string) error {
	if s == "$TAG" || strings.HasPrefix(s, "$TAG[") {
		return errors.New("requests have no tag; a field of that name is $['TAG']")
	}
	if _, err := event.NewShaper(event.Config{PartitionKey: s}); err != nil {
		_, what, _ := strings.Cut(err.Error(), "partition_key: "+strconv.Quote(s)+": ")
		return errors.New(what)
	}
	return nil
}

func checkMissing(s string) error {
	switch s {
	case Unkeyed, Drop, DeadLetters, Reject:
		return nil
	}
	if strings.HasPrefix(s, ConstantPrefix) {
		return checkKey(s)
	}
	return errors.New("not one of the allowed words")
}

// badFunc notes a problem of a value beside others.
type badFunc func(name, value, what, allowed string)

// checkTogether finds settings that do not go with each other. What rests on a value
// that was refused, and so is not in c, is not checked.
func (c *Config) checkTogether(l *loader) {
	refused := maps.Clone(l.refused)
	note := func(p *option.Problem) {
		for other := range refused {
			if p.Name == other || strings.Contains(p.Error(), other) {
				return
			}
		}
		place := l.sources[p.Name]
		if entry, _, _ := strings.Cut(p.Name, "."); place == "" {
			place = l.sources[entry+".match"]
		}
		l.problem(place, p.Name, p)
	}
	bad := func(name, value, what, allowed string) { note(option.Wrong(name, value, what, allowed)) }
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		note(wrong("tls.cert_file", "tls.cert_file and tls.key_file go together", "both, or none of them"))
	}
	if c.TLS.ClientCAFile != "" && c.TLS.CertFile == "" {
		bad("tls.client_ca_file", c.TLS.ClientCAFile, "needs tls.cert_file and tls.key_file", "")
	}
	if c.DeadLetter.File != "" && c.DeadLetter.Stream != "" {
		bad("dead_letter.stream", c.DeadLetter.Stream, "dead_letter.file and dead_letter.stream exclude each other", "one of them")
	}
	if need := c.Limits.Need(); c.Limits.Memory < need {
		bad("limits.memory", FormatSize(c.Limits.Memory), "the largest body by limits.wire_max_size, limits.body_max_size and limits.events takes more; it would never be let in",
			FormatSize(need)+" and more")
	}
	c.checkListeners(bad)
	for _, p := range slices.Concat(c.AWS.Check("aws."), c.Producer.Check("producer."), c.checkLinger()) {
		note(p)
	}
	c.checkMetrics(bad)
	c.checkNative(bad)
	deadLetters := c.DeadLetter.File != "" || c.DeadLetter.Stream != ""
	c.completeRegion(l, bad)
	c.checkStreams(note)
	c.checkDeadLetterStream(l, bad)
	c.Route.check("route.", deadLetters, bad)
	first := map[string]int{}
	for i := range c.Routes {
		match := c.Routes[i].Match
		if before, seen := first[match]; seen {
			bad(fmt.Sprintf("routes[%d].match", i), match, fmt.Sprintf("that of routes[%d], which wins", before), "each pattern once")
		} else {
			first[match] = i
		}
		prefix := fmt.Sprintf("routes[%d].", i)
		c.Routes[i].check(prefix, deadLetters, func(name, value, what, allowed string) {
			if l.sources[name] != "" { // or it is the value of route, which was checked
				bad(name, value, what, allowed)
			}
		})
	}
}

// checkListeners finds listeners with one address.
func (c *Config) checkListeners(bad badFunc) {
	list := []struct{ name, address, allowed string }{
		{"server.listen", c.Server.Listen, "another one"},
		{"server.admin_listen", c.Server.AdminListen, "another one, or off"},
		{"otlp_grpc.listen", c.OTLPGRPC.Listen, "another one, or off"},
		{"native.listen", c.Native.Listen, "another one, or off"},
	}
	for i, l := range list {
		if l.address == "" || l.address == "off" || strings.HasSuffix(l.address, ":0") {
			continue
		}
		for _, other := range list[:i] {
			if other.address == l.address {
				bad(l.name, l.address, "the address of "+other.name, l.allowed)
				break
			}
		}
	}
}

// checkLinger holds the wait of the producer against the shortest time in which a route
// has to answer.
func (c *Config) checkLinger() []*option.Problem {
	name, least := "route.ack_timeout", c.Route.AckTimeout
	for i := range c.Routes {
		if t := c.Routes[i].AckTimeout; t < least {
			name, least = fmt.Sprintf("routes[%d].ack_timeout", i), t
		}
	}
	return c.Producer.CheckLinger("producer.", name, least)
}

// checkDeadLetterStream finds dead letters that would go among the events: consumers would take
// them for such, and what the stream refuses it refuses as a dead letter, too.
func (c *Config) checkDeadLetterStream(l *loader, bad badFunc) {
	dead := c.DeadLetter.Stream
	if dead == "" {
		return
	}
	name, _, err := core.ParseStream(dead)
	if err != nil {
		return
	}
	same := func(s string) bool {
		n, _, err := core.ParseStream(s)
		// Two ARNs with the same name may be of different accounts.
		return err == nil && n == name && (s == dead || n == s || name == dead)
	}
	check := func(prefix string, r *Route) {
		for _, key := range []string{"stream", "streams"} {
			given := []string{r.Stream}
			if key == "streams" {
				given = r.Streams // one without a wildcard is a name
			}
			if slices.ContainsFunc(given, same) && (prefix == "route." || l.sources[prefix+key] != "") {
				bad("dead_letter.stream", dead, "that of "+prefix+key+", whose consumers would take dead letters for events", "another stream, or dead_letter.file instead")
			}
		}
	}
	check("route.", &c.Route)
	for i := range c.Routes {
		check(fmt.Sprintf("routes[%d].", i), &c.Routes[i])
	}
}

// completeRegion takes the region from the ARNs of streams. One client writes to all of
// them, so they have to agree, and records would go to a stream of the same name elsewhere
// if they differed from aws.region.
func (c *Config) completeRegion(l *loader, bad badFunc) {
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
			bad(n.key, n.stream, fmt.Sprintf("in the region %s, but %s says %s", region, from, c.AWS.Region), "the same, or no aws.region")
		}
	}
}

// checkStreams finds paths whose requests would all be refused.
func (c *Config) checkStreams(note func(*option.Problem)) {
	none := func(r *Route) bool { return r.Stream == "" && len(r.Streams) == 0 }
	lacks := func(prefix string) {
		note(wrong(prefix+"stream", fmt.Sprintf("neither %[1]sstream nor %[1]sstreams is set, so that every request would be refused", prefix),
			"a stream, or patterns of streams that requests may name"))
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
func (r *Route) check(prefix string, deadLetters bool, bad badFunc) {
	for _, policy := range []*string{&r.TooLarge, &r.Invalid} {
		switch {
		case *policy == Auto && deadLetters:
			*policy = DeadLetters
		case *policy == Auto:
			*policy = Drop
		}
	}
	if r.Malformed == Auto && deadLetters {
		r.Malformed = DeadLetters // without a place it depends on how much is malformed
	}
	if _, err := event.NewCompression(r.Compression, r.CompressionLevel); err != nil {
		_, what, _ := strings.Cut(err.Error(), "\": ")
		bad(prefix+"compression_level", strconv.Itoa(r.CompressionLevel), what, "")
	} else if _, err := event.NewCombine(r.CombineConfig()); err != nil {
		for _, p := range option.Split(err) {
			name, rest, _ := strings.Cut(p.Error(), ": ")
			value, what, _ := strings.Cut(strings.TrimPrefix(rest, "\""), "\": ")
			bad(prefix+name, value, what, "")
		}
	}
	if deadLetters {
		return
	}
	for _, p := range []struct{ key, value string }{
		{"partition_key_missing", r.PartitionKeyMissing},
		{"oversize", r.TooLarge},
		{"invalid", r.Invalid},
		{"malformed", r.Malformed},
	} {
		if p.value == DeadLetters {
			bad(prefix+p.key, p.value, "needs dead_letter.file or dead_letter.stream", "")
		}
	}
}
