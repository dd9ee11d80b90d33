package workspace

import (
	"net"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/mototest"
)

func TestMain(m *testing.M) { mototest.Main(m) }

func TestTheStackTakesTwoSubnetsOfTheDefaultVPC(t *testing.T) {
	g, err := gateway.New(gateway.Config{Upstream: mototest.Moto(t), Registry: "127.0.0.1:1", Log: t.Output(), Models: mototest.Models(t), AccessKey: "SANDBOXKEY"})
	require.NoError(t, err)
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	cloud := &local.Cloud{AccessKey: "SANDBOXKEY"}
	cloud.Ports.Gateway = server.Listener.Addr().(*net.TCPAddr).Port
	vpc, subnets, err := (&Workspace{Cloud: cloud}).defaultNetwork(t.Context())
	require.NoError(t, err)
	assert.Regexp(t, "^vpc-", vpc)
	require.Len(t, subnets, 2)
	assert.NotEqual(t, subnets[0], subnets[1])
}
