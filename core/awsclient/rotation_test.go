// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core/awsclient"
)

// rotations is how each source of credentials is set up and gets the key that is given.
var rotations = map[string]func(t *testing.T, cfg *awsclient.Config) (rotate func(key string)){
	"credentials file written over": func(t *testing.T, _ *awsclient.Config) func(string) {
		file, _ := withoutKeys(t)
		return func(key string) { write(t, file, "[default]\n"+keys(key)) }
	},
	"credentials file renamed": func(t *testing.T, _ *awsclient.Config) func(string) {
		file, _ := withoutKeys(t)
		return func(key string) {
			write(t, file+".new", "[default]\n"+keys(key))
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
		}
	},
	"mounted secret": func(t *testing.T, _ *awsclient.Config) func(string) {
		withoutKeys(t)
		dir := t.TempDir()
		t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
		if err := os.Symlink(filepath.Join("..data", "credentials"), filepath.Join(dir, "credentials")); err != nil {
			t.Fatal(err)
		}
		return func(key string) {
			version := "..version" + key
			if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, version, "credentials"), "[default]\n"+keys(key))
			if err := os.Symlink(version, filepath.Join(dir, "..data.new")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, "..data.new"), filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
		}
	},
	"profile of an option": func(t *testing.T, cfg *awsclient.Config) func(string) {
		file, _ := withoutKeys(t)
		cfg.Profile = "logs"
		return func(key string) { write(t, file, "[default]\n"+keys("OTHER")+"[logs]\n"+keys(key)) }
	},
	"profile of the environment": func(t *testing.T, _ *awsclient.Config) func(string) {
		file, _ := withoutKeys(t)
		t.Setenv("AWS_PROFILE", "logs")
		return func(key string) { write(t, file, "[default]\n"+keys("OTHER")+"[logs]\n"+keys(key)) }
	},
	"config file": func(t *testing.T, _ *awsclient.Config) func(string) {
		_, file := withoutKeys(t)
		return func(key string) { write(t, file, "[default]\n"+keys(key)) }
	},
	"source_profile": func(t *testing.T, cfg *awsclient.Config) func(string) {
		file, config := withoutKeys(t)
		write(t, config, "[profile logs]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n")
		cfg.Profile = "logs"
		return func(key string) { write(t, file, "[base]\n"+keys(key)) }
	},
	"role_arn": func(t *testing.T, cfg *awsclient.Config) func(string) {
		file, _ := withoutKeys(t)
		cfg.RoleARN = "arn:aws:iam::1:role/r"
		return func(key string) { write(t, file, "[default]\n"+keys(key)) }
	},
	"another source in the config file": func(t *testing.T, _ *awsclient.Config) func(string) {
		file, config := withoutKeys(t)
		n := 0
		return func(key string) {
			if n++; n == 1 {
				write(t, file, "[default]\n"+keys(key))
				return
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			write(t, config, process(t, key))
		}
	},
	"credential_process": func(t *testing.T, _ *awsclient.Config) func(string) {
		_, config := withoutKeys(t)
		return func(key string) { write(t, config, process(t, key)) }
	},
	"credential_process with another outcome": func(t *testing.T, _ *awsclient.Config) func(string) {
		_, config := withoutKeys(t)
		write(t, config, process(t, ""))
		text, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		file := strings.TrimSpace(string(text[strings.LastIndex(string(text), " "):]))
		return func(key string) { write(t, file, `{"Version":1,"AccessKeyId":"`+key+`","SecretAccessKey":"s"}`) }
	},
}

// process is a configuration with a program that prints the key.
func process(t *testing.T, key string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "out")
	write(t, file, `{"Version":1,"AccessKeyId":"`+key+`","SecretAccessKey":"s"}`)
	return "[default]\ncredential_process = cat " + file + "\n"
}

func TestRotatedCredentialsAreUsedWithoutARestart(t *testing.T) {
	for name, set := range rotations {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t)
			cfg := awsclient.Config{Region: "us-east-1", Endpoint: r.url, STSEndpoint: r.url}
			rotate := set(t, &cfg)
			rotate("KEY1")
			c, err := awsclient.New(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := list(c, t); err != nil {
				t.Fatal(err)
			}
			rotate("KEY2")
			r.set("KEY2", "", "ExpiredTokenException")
			if err := list(c, t); err == nil {
				t.Fatal("unexpected success with the old key")
			}
			if err := list(c, t); err != nil {
				t.Errorf("unexpected error after the rotation: %v", err)
			}
		})
	}
}

func TestEachRefusalLeadsToNewCredentials(t *testing.T) {
	for _, code := range []string{
		"ExpiredToken", "ExpiredTokenException", "UnrecognizedClient", "UnrecognizedClientException", "InvalidSignature",
		"InvalidSignatureException", "SignatureDoesNotMatch", "InvalidClientTokenId", "IncompleteSignature", "IncompleteSignatureException",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException", "RequestExpired",
	} {
		t.Run(code, func(t *testing.T) {
			r := newRealm(t)
			file, _ := withoutKeys(t)
			write(t, file, "[default]\n"+keys("KEY1"))
			c, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1", Endpoint: r.url})
			if err != nil {
				t.Fatal(err)
			}
			r.set("KEY2", "", code)
			write(t, file, "[default]\n"+keys("KEY2"))
			// Any operation counts, and not those of core.Client alone.
			_, _ = c.(interface {
				GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, o ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
			}).GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: aws.String("i")})
			if err := list(c, t); err != nil {
				t.Errorf("unexpected error after the rotation: %v", err)
			}
		})
	}
}

// A role's session has ended, its source has been rotated in the meantime.
func TestSourceOfARoleIsReadAnewWhenSTSRefusesIt(t *testing.T) {
	r := newRealm(t)
	file, config := withoutKeys(t)
	write(t, config, "[profile logs]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n")
	write(t, file, "[base]\n"+keys("KEY0"))
	c, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1", Endpoint: r.url, STSEndpoint: r.url, Profile: "logs"})
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, "[base]\n"+keys("KEY1"))
	if err := list(c, t); err != nil {
		t.Errorf("unexpected error: %v", err)
	}
	if got := r.count("AssumeRole"); got != 1 {
		t.Errorf("unexpected calls of STS; got %d; want 1", got)
	}
}

func TestWebIdentityTokenIsReadAnew(t *testing.T) {
	for _, where := range []string{"environment", "profile"} {
		t.Run(where, func(t *testing.T) {
			r := newRealm(t)
			_, config := withoutKeys(t)
			token := filepath.Join(t.TempDir(), "token")
			webIdentity(t, where, config, token)
			write(t, token, "TOKEN1")
			c, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1", Endpoint: r.url, STSEndpoint: r.url})
			if err != nil {
				t.Fatal(err)
			}
			if err := list(c, t); err != nil {
				t.Fatal(err)
			}
			r.set("KEY2", "TOKEN2", "ExpiredTokenException")
			write(t, token, "TOKEN2")
			_ = list(c, t)
			if err := list(c, t); err != nil {
				t.Errorf("unexpected error after the rotation: %v", err)
			}
			if got := r.count("AssumeRoleWithWebIdentity"); got != 2 {
				t.Errorf("unexpected calls of STS; got %d; want 2", got)
			}
		})
	}
}
