package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// machine serves the instance metadata of a machine with a role.
func machine(t *testing.T) {
	t.Helper()
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			fmt.Fprint(w, "token")
		case "/latest/meta-data/iam/security-credentials/":
			fmt.Fprint(w, "builder")
		case "/latest/meta-data/iam/security-credentials/builder":
			fmt.Fprintf(w, `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ROLEKEY","SecretAccessKey":"s","Token":"t","Expiration":%q}`,
				time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		case "/latest/dynamic/instance-identity/document":
			fmt.Fprint(w, `{"region":"eu-central-1"}`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(metadata.Close)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL)
}

// bucket answers as S3 does for s3://games/builds/chess.tar.gz.
func bucket(t *testing.T, answer http.HandlerFunc) {
	t.Helper()
	machine(t)
	s3 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch auth := r.Header.Get("Authorization"); {
		case !strings.Contains(auth, "Credential=ROLEKEY/") || !strings.Contains(auth, "/eu-central-1/s3/"):
			http.Error(w, "signed by "+auth, http.StatusForbidden)
		case r.Method != http.MethodGet || r.URL.Path != "/games/builds/chess.tar.gz" || r.URL.Query().Get("versionId") != "v7":
			http.Error(w, r.Method+" "+r.URL.String(), http.StatusNotFound)
		default:
			answer(w, r)
		}
	}))
	t.Cleanup(s3.Close)
	t.Setenv("AWS_ENDPOINT_URL", s3.URL)
}

// asked are the build arguments for an archive in the bucket.
func asked(archive []byte) map[string]string {
	return map[string]string{
		"GAME_SOURCE": "s3", "GAME_BUCKET": "games", "GAME_KEY": "builds/chess.tar.gz", "GAME_VERSION": "v7", "GAME_SHA256": sumOf(archive),
	}
}

func TestAGameComesFromS3ByTheMachinesRole(t *testing.T) {
	archive := gz(t, tarOf(t, chess()...))
	bucket(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive) })
	dir, out, err := fetched(t, asked(archive))
	require.NoError(t, err)
	assert.Contains(t, out, "Chess 1.2: 5 files")
	assert.Len(t, listing(t, dir), 8)
}

func TestAnotherFileThanExpectedIsNotUnpacked(t *testing.T) {
	archive := gz(t, tarOf(t, chess()...))
	bucket(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive) })
	env := asked(archive)
	env["GAME_SHA256"] = sumOf([]byte("another"))
	_, _, err := fetched(t, env)
	assert.ErrorContains(t, err, "s3://games/builds/chess.tar.gz (version v7) has the SHA-256 "+sumOf(archive)+", not the expected "+sumOf([]byte("another"))+"")
}

func TestADownloadThatBreaksOffIsTakenUpAgain(t *testing.T) {
	archive := tarOf(t, append(chess(), file("large", strings.Repeat("some text ", 100_000)))...)
	var calls atomic.Int32
	bucket(t, func(w http.ResponseWriter, r *http.Request) {
		from := 0
		if calls.Add(1) > 1 {
			if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); !assert.NoError(t, err) {
				return
			}
		}
		rest := archive[from:]
		w.Header().Set("Content-Length", fmt.Sprint(len(rest)))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		if calls.Load() < 3 {
			rest = rest[:len(rest)/2] // and the connection is closed
		}
		_, _ = w.Write(rest)
	})
	_, _, err := fetched(t, asked(archive))
	require.NoError(t, err)
	assert.EqualValues(t, 3, calls.Load())
}

func TestWhatS3RefusesIsToldInWords(t *testing.T) {
	for code, words := range map[int]string{
		http.StatusForbidden:        "the machine's role may not read it, or its bucket is another account's; it needs s3:GetObjectVersion",
		http.StatusNotFound:         "is not there; look at bucket, key, version id and Region",
		http.StatusMethodNotAllowed: "was deleted",
		http.StatusBadRequest:       "a version id that is none",
	} {
		bucket(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, `<Error><Code>Refused</Code><Message>no</Message></Error>`)
		})
		_, _, err := fetched(t, asked(nil))
		assert.ErrorContains(t, err, "s3://games/builds/chess.tar.gz (version v7)")
		assert.ErrorContains(t, err, words)
		assert.ErrorContains(t, err, "Refused", "and S3's own word")
	}

	bucket(t, nil)
	env := asked(nil)
	env["GAME_VERSION"] = "v8"
	_, _, err := fetched(t, env)
	assert.ErrorContains(t, err, "is not there")
}

func TestAMachineWithoutARoleIsTold(t *testing.T) {
	machine(t)
	none := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(none.Close)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", none.URL)
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ENDPOINT_URL", none.URL)
	_, _, err := fetched(t, asked(nil))
	assert.ErrorContains(t, err, "the machine needs a role")
}
