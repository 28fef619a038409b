// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestEveryCallOfSTSGoesToItsEndpoint(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "TOKEN1")
	for name, c := range map[string]struct {
		set  func(t *testing.T, credentials, config string, cfg *awsclient.Config)
		want map[string]int
	}{
		"web identity": {func(t *testing.T, _, config string, _ *awsclient.Config) {
			webIdentity(t, "environment", config, token)
		}, map[string]int{"AssumeRoleWithWebIdentity": 1}},
		"web identity of a profile": {func(t *testing.T, _, config string, _ *awsclient.Config) {
			webIdentity(t, "profile", config, token)
		}, map[string]int{"AssumeRoleWithWebIdentity": 1}},
		"role on top of a web identity": {func(t *testing.T, _, config string, cfg *awsclient.Config) {
			webIdentity(t, "environment", config, token)
			cfg.RoleARN = "arn:aws:iam::1:role/other"
		}, map[string]int{"AssumeRoleWithWebIdentity": 1, "AssumeRole": 1}},
		"source_profile": {func(t *testing.T, credentials, config string, cfg *awsclient.Config) {
			write(t, credentials, "[base]\n"+keys("KEY1"))
			write(t, config, "[profile logs]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n")
			cfg.Profile = "logs"
		}, map[string]int{"AssumeRole": 1}},
		"source_profile with a web identity": {func(t *testing.T, _, config string, cfg *awsclient.Config) {
			write(t, config, "[profile logs]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n"+
				"[profile base]\nrole_arn = arn:aws:iam::1:role/b\nweb_identity_token_file = "+token+"\n")
			cfg.Profile = "logs"
		}, map[string]int{"AssumeRoleWithWebIdentity": 1, "AssumeRole": 1}},
		"credential_source": {func(t *testing.T, _, config string, cfg *awsclient.Config) {
			t.Setenv("AWS_ACCESS_KEY_ID", "KEY1")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
			write(t, config, "[profile logs]\nrole_arn = arn:aws:iam::1:role/r\ncredential_source = Environment\n")
			cfg.Profile = "logs"
		}, map[string]int{"AssumeRole": 1}},
		"role_arn": {func(t *testing.T, credentials, _ string, cfg *awsclient.Config) {
			write(t, credentials, "[default]\n"+keys("KEY1"))
			cfg.RoleARN = "arn:aws:iam::1:role/r"
		}, map[string]int{"AssumeRole": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			credentials, config := withoutKeys(t)
			// Nothing may go to the network: the proxy for it is another realm.
			r, elsewhere := newRealm(t), newRealm(t)
			cfg := awsclient.Config{Region: "us-east-1", Endpoint: r.url, STSEndpoint: r.url, Proxy: elsewhere.url}
			c.set(t, credentials, config, &cfg)
			client, err := awsclient.New(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := list(client, t); err != nil {
				t.Errorf("unexpected error: %v", err)
			}
			for action, want := range c.want {
				if got := r.count(action); got != want {
					t.Errorf("unexpected calls of %s; got %d; want %d", action, got, want)
				}
			}
		})
	}
}

func TestEndpointWinsOverFIPSAndDualStackOfTheEnvironment(t *testing.T) {
	for name, set := range map[string]func(t *testing.T, config string){
		"FIPS":       func(t *testing.T, _ string) { t.Setenv("AWS_USE_FIPS_ENDPOINT", "true") },
		"dual-stack": func(t *testing.T, _ string) { t.Setenv("AWS_USE_DUALSTACK_ENDPOINT", "true") },
		"both": func(t *testing.T, _ string) {
			t.Setenv("AWS_USE_FIPS_ENDPOINT", "true")
			t.Setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
		},
		"profile": func(t *testing.T, config string) {
			write(t, config, "[default]\nuse_fips_endpoint = true\nuse_dualstack_endpoint = true\n")
		},
	} {
		for _, from := range []string{"options", "environment"} {
			t.Run(name+" with endpoints of "+from, func(t *testing.T) {
				credentials, config := withoutKeys(t)
				write(t, credentials, "[default]\n"+keys("KEY1"))
				set(t, config)
				r := newRealm(t)
				var log bytes.Buffer
				cfg := awsclient.Config{Region: "us-east-1", RoleARN: "arn:aws:iam::1:role/r", Logger: slog.New(slog.NewTextHandler(&log, nil))}
				if from == "options" {
					cfg.Endpoint, cfg.STSEndpoint = r.url, r.url
				} else {
					t.Setenv("AWS_ENDPOINT_URL", r.url)
				}
				c, err := awsclient.New(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if err := list(c, t); err != nil {
						t.Errorf("unexpected error: %v", err)
					}
				}
				r.set("KEY2", "", "ExpiredTokenException")
				write(t, credentials, "[default]\n"+keys("KEY2"))
				_ = list(c, t) // leads to another client of STS
				if err := list(c, t); err != nil {
					t.Errorf("unexpected error: %v", err)
				}
				for _, service := range []string{"service=Kinesis", "service=STS"} {
					if n := strings.Count(log.String(), service); n != 1 || !strings.Contains(log.String(), "level=WARN") {
						t.Errorf("unexpected log; got %q; want one line with %s", log.String(), service)
					}
				}
			})
		}
	}
}

// The option for FIPS is about Kinesis; the address of STS is for the user to choose.
func TestFIPSGoesWithAnEndpointOfSTS(t *testing.T) {
	credentials, _ := withoutKeys(t)
	write(t, credentials, "[default]\n"+keys("KEY1"))
	r := newRealm(t)
	c, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1", STSEndpoint: r.url, RoleARN: "arn:aws:iam::1:role/r", FIPS: true, Proxy: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := list(c, t); err == nil || !strings.Contains(err.Error(), "kinesis-fips.us-east-1") {
		t.Errorf("unexpected error; got %v; want one of a call to the FIPS endpoint", err)
	}
	if got := r.count("AssumeRole"); got != 1 {
		t.Errorf("unexpected calls of STS; got %d; want 1", got)
	}
}

func TestFIPSOptionDoesNotGoWithAnEndpointOfTheEnvironment(t *testing.T) {
	alone(t)
	t.Setenv("AWS_ENDPOINT_URL_KINESIS", "http://u:hush@127.0.0.1:1")
	_, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1", FIPS: true})
	if err == nil || !strings.Contains(err.Error(), "AWS_ENDPOINT_URL") || strings.Contains(err.Error(), "hush") {
		t.Errorf("unexpected error; got %v; want one that names AWS_ENDPOINT_URL", err)
	}
}

func TestSettingsOfTheEnvironment(t *testing.T) {
	for name, c := range map[string]struct {
		set   func(t *testing.T, r *realm, config string)
		check func(t *testing.T, r *realm, err error)
	}{
		"AWS_ENDPOINT_URL_KINESIS": {
			func(t *testing.T, r *realm, _ string) { t.Setenv("AWS_ENDPOINT_URL_KINESIS", r.url) },
			func(t *testing.T, _ *realm, err error) { unexpected(t, err) },
		},
		"AWS_ENDPOINT_URL": {
			func(t *testing.T, r *realm, _ string) { t.Setenv("AWS_ENDPOINT_URL", r.url) },
			func(t *testing.T, _ *realm, err error) { unexpected(t, err) },
		},
		"endpoint_url": {
			func(t *testing.T, r *realm, config string) {
				write(t, config, "[default]\nservices = mine\n[services mine]\nkinesis =\n  endpoint_url = "+r.url+"\n")
			},
			func(t *testing.T, _ *realm, err error) { unexpected(t, err) },
		},
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": {
			func(t *testing.T, r *realm, _ string) {
				t.Setenv("AWS_ENDPOINT_URL", r.url)
				t.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
			},
			func(t *testing.T, r *realm, err error) {
				if err == nil || r.count("Kinesis_20131202.ListShards") != 0 {
					t.Errorf("unexpected use of an endpoint that is to be ignored; error %v", err)
				}
			},
		},
		"AWS_MAX_ATTEMPTS and AWS_RETRY_MODE": {
			func(t *testing.T, r *realm, _ string) {
				t.Setenv("AWS_ENDPOINT_URL", r.url)
				t.Setenv("AWS_MAX_ATTEMPTS", "5")
				t.Setenv("AWS_RETRY_MODE", "adaptive")
				r.set("NONE", "", "ThrottlingException")
			},
			func(t *testing.T, r *realm, err error) {
				if got := r.count("Kinesis_20131202.ListShards"); err == nil || got != 1 {
					t.Errorf("unexpected attempts; got %d, error %v; want 1", got, err)
				}
			},
		},
		"AWS_SDK_UA_APP_ID": {
			func(t *testing.T, r *realm, _ string) {
				t.Setenv("AWS_ENDPOINT_URL", r.url)
				t.Setenv("AWS_SDK_UA_APP_ID", "my-app")
			},
			func(t *testing.T, r *realm, err error) {
				unexpected(t, err)
				if !strings.Contains(r.agent, "app/my-app") {
					t.Errorf("unexpected user agent %q; want app/my-app in it", r.agent)
				}
			},
		},
		"AWS_DEFAULTS_MODE": {
			func(t *testing.T, r *realm, _ string) {
				t.Setenv("AWS_ENDPOINT_URL", r.url)
				t.Setenv("AWS_DEFAULTS_MODE", "cross-region")
			},
			func(t *testing.T, _ *realm, err error) { unexpected(t, err) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			credentials, config := withoutKeys(t)
			write(t, credentials, "[default]\n"+keys("KEY1"))
			r := newRealm(t)
			c.set(t, r, config)
			client, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1", Proxy: "http://127.0.0.1:1"})
			if err != nil {
				t.Fatal(err)
			}
			c.check(t, r, list(client, t))
		})
	}
}

func unexpected(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("unexpected error: %v", err)
	}
}

func TestEndpointOfTheEnvironmentIsChecked(t *testing.T) {
	for _, env := range []string{"AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL_STS"} {
		t.Run(env, func(t *testing.T) {
			alone(t)
			t.Setenv(env, "localhost:4566")
			_, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1", RoleARN: "arn:aws:iam::1:role/r"})
			if err == nil || !strings.Contains(err.Error(), "localhost:4566") || !strings.Contains(err.Error(), env) {
				t.Errorf("unexpected error; got %v; want one that names %s", err, env)
			}
		})
	}
}

// The proxy of the environment is looked up once in a process, so it needs one of its own.
func TestAddressesOfCredentialsAreReachedWithoutTheProxyOfTheEnvironment(t *testing.T) {
	if os.Getenv("OUTKPL_TEST_PROXY") == "" {
		alone(t)
		test := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		test.Env = append(os.Environ(), "OUTKPL_TEST_PROXY=1", "HTTP_PROXY=http://proxy.invalid:1", "HTTPS_PROXY=http://proxy.invalid:1", "NO_PROXY=")
		if out, err := test.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	for url, want := range map[string]bool{
		"http://169.254.169.254/latest/api/token": false, "http://169.254.170.2/creds": false, "http://[fd00:ec2::23]/v1/credentials": false,
		"http://127.0.0.1:1/": false, "https://kinesis.us-east-1.amazonaws.com/": true,
	} {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := awsclient.ProxyOf(awsclient.Config{}, r)
		if err != nil || (got != nil) != want {
			t.Errorf("unexpected proxy for %s; got %v, %v; want one: %v", url, got, err, want)
		}
	}
}

// Those of a container have a client of their own in the SDK.
func TestContainerIsAskedWithoutTheProxyOfTheEnvironment(t *testing.T) {
	if os.Getenv("OUTKPL_TEST_PROXY") == "" {
		alone(t)
		var asked atomic.Int32
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(http.StatusForbidden)
		}))
		defer proxy.Close()
		test := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		test.Env = append(os.Environ(), "OUTKPL_TEST_PROXY=1", "HTTP_PROXY="+proxy.URL, "NO_PROXY=", "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=",
			"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/of-this-test")
		if out, err := test.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if n := asked.Load(); n > 0 {
			t.Errorf("unexpected requests at the proxy; got %d; want none", n)
		}
		return
	}
	a, err := awsclient.Load(t.Context(), awsclient.Config{Region: "us-east-1", Endpoint: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	// Whether a server is at the address does not matter.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, _ = a.Config().Credentials.Retrieve(ctx)
}

func TestSharedFilesThatTheSDKWouldNotReadAreNamed(t *testing.T) {
	const section = "[default]\n"
	utf16 := func(s string) string { return "\xff\xfe" + strings.Join(strings.Split(s, ""), "\x00") + "\x00" }
	for _, c := range []struct{ name, credentials, config, want string }{
		{"credentials with a mark", "\ufeff" + section + keys("KEY1"), "", "CREDENTIALS begins with a byte order mark (BOM)"},
		{"config with a mark", section + keys("KEY1"), "\ufeff [profile a]\r\nregion = us-west-2\r\n", "CONFIG begins with a byte order mark (BOM)"},
		{"both", "\ufeff" + section, "\ufeff" + section, "CREDENTIALS begins with a byte order mark (BOM), so that its first section does not count; save it as UTF-8 without one\nCONFIG begins"},
		{"credentials in UTF-16", utf16(section + keys("KEY1")), "", "CREDENTIALS is UTF-16"},
		{"config in UTF-16", section + keys("KEY1"), utf16(section), "CONFIG is UTF-16"},
		{"a mark that hides nothing", "\ufeff# mine\n" + section + keys("KEY1"), "", ""},
		{"no mark", section + keys("KEY1"), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			credentials, config := withoutKeys(t)
			write(t, credentials, c.credentials)
			write(t, config, c.config)
			r := newRealm(t)
			client, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1", Endpoint: r.url})
			want := strings.NewReplacer("CREDENTIALS", credentials, "CONFIG", config).Replace(c.want)
			switch {
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("unexpected error; got %v; want one with %q", err, want)
			case want == "" && err != nil:
				t.Errorf("unexpected error: %v", err)
			case want == "":
				if err := list(client, t); err != nil {
					t.Errorf("unexpected error of a call: %v", err)
				}
			}
		})
	}
}

func TestBundleWithAByteOrderMarkIsNamed(t *testing.T) {
	withoutKeys(t)
	s := kinesistest.New(kinesistest.WithTLS())
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	bundle := filepath.Join(t.TempDir(), "bundle.pem")
	write(t, bundle, "\ufeff"+string(s.CertPEM())+string(s.CertPEM())) // the second one would do for the SDK
	t.Setenv("AWS_CA_BUNDLE", bundle)
	want := bundle + " begins with a byte order mark (BOM), so that its first certificate does not count"
	if _, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1"}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("unexpected error; got %v; want one with %q", err, want)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(s.CertPEM()))
	if _, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1", CAFile: ca}); err != nil {
		t.Errorf("unexpected error of a bundle that is not used: %v", err)
	}
	write(t, bundle, string(s.CertPEM()))
	if _, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1"}); err != nil {
		t.Errorf("unexpected error without a mark: %v", err)
	}
}

func TestSharedFileThatGetsAByteOrderMarkLeavesTheCredentials(t *testing.T) {
	credentials, _ := withoutKeys(t)
	write(t, credentials, "[default]\n"+keys("KEY1"))
	r := newRealm(t)
	var log bytes.Buffer
	client, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1", Endpoint: r.url, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := list(client, t); err != nil {
		t.Fatal(err)
	}
	write(t, credentials, "\ufeff[default]\n"+keys("KEY2"))
	r.set("KEY2", "", "ExpiredTokenException")
	for range 2 { // the first refusal leads to a look at the file
		if err := list(client, t); err == nil || !strings.Contains(err.Error(), "ExpiredToken") {
			t.Errorf("unexpected error; got %v; want that of the service", err)
		}
	}
	if text := log.String(); !strings.Contains(text, "those at hand stay in use") || !strings.Contains(text, credentials+" begins with a byte order mark (BOM)") {
		t.Errorf("unexpected log; got %s; want the file and its mark named", text)
	}
}
