package host

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serveMetadata stands in for an instance's, IMDSv2 only.
func serveMetadata(t *testing.T, values map[string]string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value, known := values[strings.TrimPrefix(r.URL.Path, "/latest/meta-data/")]
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			_, _ = io.WriteString(w, "token")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token":
			w.WriteHeader(http.StatusUnauthorized)
		case !known:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, value)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.URL)
}

func noMetadata(t *testing.T) { t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1") }

func TestASessionListensAtThePrivateAddressAndTellsThePublicOne(t *testing.T) {
	serveMetadata(t, map[string]string{"local-ipv4": "10.0.0.5", "public-ipv4": "198.51.100.7\n", "instance-type": "g6.xlarge"})
	at, err := Find(context.Background(), true)
	require.NoError(t, err)
	assert.Equal(t, Addresses{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("198.51.100.7"), "g6.xlarge"}, at)
}

func TestAHostWithoutPublicAddressIsReachedAtItsPrivateOne(t *testing.T) {
	serveMetadata(t, map[string]string{"local-ipv4": "10.0.0.5"})
	at, err := Find(context.Background(), true)
	require.NoError(t, err)
	assert.Equal(t, Addresses{Private: netip.MustParseAddr("10.0.0.5"), Public: netip.MustParseAddr("10.0.0.5")}, at)
}

func TestAPublicAddressThatIsNoneIsTold(t *testing.T) {
	serveMetadata(t, map[string]string{"local-ipv4": "10.0.0.5", "public-ipv4": "<html>"})
	_, err := Find(context.Background(), true)
	assert.ErrorContains(t, err, "the host's metadata")
}

func TestWithoutMetadataASessionStaysOnLoopback(t *testing.T) {
	noMetadata(t)
	at, err := Find(context.Background(), false)
	require.NoError(t, err)
	assert.Equal(t, Addresses{Private: loopback, Public: loopback}, at)
}

func TestABatchHostWithoutMetadataIsTheHostsFault(t *testing.T) {
	noMetadata(t)
	_, err := Find(context.Background(), true)
	assert.ErrorContains(t, err, "the host's metadata")
}
