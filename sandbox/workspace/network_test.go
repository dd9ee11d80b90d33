package workspace

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/mototest"
)

func TestMain(m *testing.M) { mototest.Main(m) }

func TestTheStackTakesTwoSubnetsOfTheDefaultVPC(t *testing.T) {
	_, port, err := net.SplitHostPort(mototest.Moto(t).Host)
	require.NoError(t, err)
	cloud := &local.Cloud{AccessKey: local.MotoKey}
	cloud.Ports.Gateway, err = strconv.Atoi(port)
	require.NoError(t, err)
	vpc, subnets, err := (&Workspace{Cloud: cloud}).defaultNetwork(t.Context())
	require.NoError(t, err)
	assert.Regexp(t, "^vpc-", vpc)
	require.Len(t, subnets, 2)
	assert.NotEqual(t, subnets[0], subnets[1])
}
