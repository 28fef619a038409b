// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/outkpl/outkpl/internal/plural"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// authenticator checks the Authorization header, before a byte of the body is read.
type authenticator struct {
	secrets *watched[secrets] // nil: everybody may
	schemes string            // for WWW-Authenticate
}

// secrets are digests, so that comparing takes the same time whatever the lengths
// are, and so that no secret stays in memory.
type secrets struct {
	bearer, basic [][sha256.Size]byte
}

// maxSecrets bounds what one request has to be compared with.
const maxSecrets = 1024

func newAuthenticator(cfg *config.Auth, getenv func(string) string, log *slog.Logger) (*authenticator, error) {
	if !cfg.Enabled() {
		return &authenticator{}, nil
	}
	var schemes []string
	if len(cfg.BearerFiles) > 0 || cfg.BearerEnv != "" {
		schemes = append(schemes, `Bearer realm="kpl-http"`)
	}
	if len(cfg.BasicFiles) > 0 || cfg.BasicEnv != "" {
		schemes = append(schemes, `Basic realm="kpl-http", charset="UTF-8"`)
	}
	w, err := newWatched("credentials of clients", slices.Concat(cfg.BearerFiles, cfg.BasicFiles), log, func() (secrets, error) {
		var s secrets
		var errs [2]error
		s.bearer, errs[0] = readSecrets("bearer", cfg.BearerFiles, cfg.BearerEnv, getenv, nil)
		s.basic, errs[1] = readSecrets("basic", cfg.BasicFiles, cfg.BasicEnv, getenv, func(line string) error {
			if user, _, ok := strings.Cut(line, ":"); !ok || user == "" {
				return errors.New("not of the form user:password")
			}
			return nil
		})
		return s, errors.Join(errs[:]...)
	})
	return &authenticator{secrets: w, schemes: strings.Join(schemes, ", ")}, err
}

// readSecrets collects the lines of files and of a variable. Errors name places, never
// contents.
func readSecrets(kind string, files []string, env string, getenv func(string) string, check func(string) error) ([][sha256.Size]byte, error) {
	if len(files) == 0 && env == "" {
		return nil, nil
	}
	var list [][sha256.Size]byte
	add := func(place string, data []byte) error {
		n, before := 0, len(list)
		data, err := plainText(data)
		if err != nil {
			return fmt.Errorf("cannot use %s: %w", place, err)
		}
		for line := range bytes.Lines(data) {
			n++
			text := strings.TrimSpace(string(line))
			if text == "" || strings.HasPrefix(text, "#") {
				continue
			}
			if check != nil {
				if err := check(text); err != nil {
					return fmt.Errorf("cannot use line %d of %s: %w", n, place, err)
				}
			}
			list = append(list, sha256.Sum256([]byte(text)))
		}
		// A file that is being written must not count as one that allows nobody.
		if len(list) == before {
			return fmt.Errorf("cannot use %s: no entry in it", place)
		}
		return nil
	}
	var errs []error
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot read auth.%s_files: %w", kind, err))
			continue
		}
		errs = append(errs, add(f, data))
	}
	if env != "" {
		errs = append(errs, add("environment variable "+env, []byte(getenv(env))))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(list) > maxSecrets {
		return nil, fmt.Errorf("cannot use auth.%s_files and auth.%s_env: they hold %s; allowed: 1 to %d", kind, kind, plural.Count(len(list), "entry"), maxSecrets)
	}
	return list, nil
}

// allow tells whether the request carries valid credentials.
func (a *authenticator) allow(r *http.Request) bool {
	if a.secrets == nil {
		return true
	}
	s := a.secrets.get()
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch strings.ToLower(scheme) {
	case "bearer":
		return known(s.bearer, strings.TrimSpace(rest))
	case "basic":
		user, password, ok := r.BasicAuth()
		return ok && known(s.basic, user+":"+password)
	}
	return false
}

// known compares with every entry, whether or not one fits.
func known(list [][sha256.Size]byte, given string) bool {
	sum := sha256.Sum256([]byte(given))
	found := 0
	for i := range list {
		found |= subtle.ConstantTimeCompare(list[i][:], sum[:])
	}
	return found == 1
}
