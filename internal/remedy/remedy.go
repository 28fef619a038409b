// SPDX-License-Identifier: Apache-2.0

package remedy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// Kind names a Remedy. It is stable.
type Kind string

// Remedy is a row of the table.
type Remedy struct {
	Kind Kind
	// Codes are the error codes of AWS, and the codes and reasons of this project, that
	// mean this, without the ending "Exception".
	Codes []string
	// Cause says what is wrong.
	Cause string
	// Do says what to do. A word in braces is an option, by the name that it has in Fluent
	// Bit; {action} is the IAM action of the call.
	Do string
	// Needs is the permission that is missing, if it is one: an IAM action, or {action}.
	Needs string

	// refines are the kinds that it is found in, where the code says too little: by the error
	// of a call without an answer, or by the text of a failure.
	refines []Kind
	is      func(err error) bool
	text    *regexp.Regexp
}

// Names are the options of a program: its word for an option of the table. What a program
// has no word for stays as it is.
type Names func(option string) string

// Plugin names the options of the plugin in Fluent Bit.
func Plugin(option string) string { return "'" + option + "'" }

// awsOptions are those that kpl-http has under aws.
var awsOptions = map[string]bool{
	"region": true, "endpoint": true, "profile": true, "role_arn": true, "external_id": true, "sts_endpoint": true, "proxy": true, "ca_file": true,
	"connect_timeout": true, "verify_certificate": true,
}

// Receiver names the options of kpl-http.
func Receiver(option string) string {
	switch option {
	case "stream", "partition_key":
		return "route." + option
	case "dead_letter_file":
		return "dead_letter.file"
	case "dead_letter_max_files":
		return "dead_letter.max_files"
	case "journal_dir":
		return "journal.dir"
	case "flush_timeout":
		return "route.ack_timeout"
	}
	if awsOptions[option] {
		return "aws." + option
	}
	return "producer." + option
}

// Command names the options of kplcat.
func Command(option string) string {
	switch option {
	case "ca_file":
		return "AWS_CA_BUNDLE"
	case "proxy":
		return "HTTPS_PROXY"
	case "request_timeout":
		return "the time for a call"
	}
	return "--" + strings.ReplaceAll(option, "_", "-")
}

// Library names the options of a Go program: those of awsclient.Config and of core.
func Library(option string) string {
	return map[string]string{
		"region": "Config.Region", "endpoint": "Config.Endpoint", "profile": "Config.Profile", "role_arn": "Config.RoleARN",
		"external_id": "Config.ExternalID", "sts_endpoint": "Config.STSEndpoint", "proxy": "Config.Proxy", "ca_file": "Config.CAFile",
		"connect_timeout": "Config.ConnectTimeout", "verify_certificate": "Config.SkipVerify", "request_timeout": "WithRequestTimeout",
		"buffer_size": "WithBufferBytes", "shard_limit_bytes": "WithShardLimit", "rate_limit": "WithRateLimit", "stream": "the name of the stream",
		"partition_key": "PartitionKey", "dead_letter_file": "the dead letter file", "dead_letter_max_files": "the number of its files", "journal_dir": "the folder of the journal",
		"flush_timeout": "the time of the caller",
	}[option]
}

var braces = regexp.MustCompile(`\{[a-z_]+\}`)

// Advice says what to do in the words of a program. The action is that of the call, such as
// kinesis:PutRecords.
func (r *Remedy) Advice(names Names, action string) string {
	return braces.ReplaceAllStringFunc(r.Do, func(word string) string {
		if word = strings.Trim(word, "{}"); word == "action" {
			return action
		}
		return names(word)
	})
}

// Permission is the IAM action that is missing, or empty.
func (r *Remedy) Permission(action string) string {
	return strings.ReplaceAll(r.Needs, "{action}", action)
}

// Options lists the options that Do names.
func (r *Remedy) Options() (list []string) {
	for _, word := range braces.FindAllString(r.Do, -1) {
		if word != "{action}" {
			list = append(list, strings.Trim(word, "{}"))
		}
	}
	return list
}

// Find returns what fits best: by the code, and where that says too little by the error of the
// call and by the text of the answer. Code and text may be empty, and err nil.
func Find(code, text string, err error) *Remedy {
	code = strings.TrimSuffix(code, "Exception")
	r := rows[code]
	switch {
	case r != nil:
	case strings.HasPrefix(code, "HTTP"):
		r = rows["HTTP"]
	case strings.Contains(code, "Throttling"):
		r = rows["Throttling"]
	case code != "":
		return unknown
	}
	if text == "" && err != nil {
		text = err.Error()
	}
	for i := range table {
		finer := &table[i]
		if r != nil && !slices.Contains(finer.refines, r.Kind) {
			continue
		}
		if finer.is != nil && err != nil && finer.is(err) || finer.text != nil && finer.text.MatchString(text) {
			return finer
		}
	}
	if r == nil {
		return unknown
	}
	return r
}

// Of returns the row of a kind.
func Of(k Kind) *Remedy {
	for i := range table {
		if table[i].Kind == k {
			return &table[i]
		}
	}
	return unknown
}

// All returns the table.
func All() []Remedy { return table }

// rows has the table by code.
var rows = func() map[string]*Remedy {
	m := map[string]*Remedy{}
	for i := range table {
		for _, code := range table[i].Codes {
			m[code] = &table[i]
		}
	}
	return m
}()

func isError[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func isUnknownAuthority(err error) bool {
	return isError[x509.UnknownAuthorityError](err) || isError[x509.SystemRootsError](err)
}

func isWrongCertificate(err error) bool {
	return isError[x509.HostnameError](err) || isError[x509.CertificateInvalidError](err)
}

func isNotTLS(err error) bool { return isError[tls.RecordHeaderError](err) }

func isDNS(err error) bool { return isError[*net.DNSError](err) }

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

func isUnreachable(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func isReadOnly(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, os.ErrPermission)
}
