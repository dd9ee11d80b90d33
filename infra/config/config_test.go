package config_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/infra/config"
	"github.com/intraverse/dcv-sessions/infra/config/stackfile"
)

// TestMain runs the tests where Pulumi runs the program, in infra/, to which the
// project's folder is "..".
func TestMain(m *testing.M) {
	if err := os.Chdir(".."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// values is a configuration; a key without a namespace is the project's.
type values map[string]string

// unset takes a key out of the good configuration.
const unset = "\x00"

// good has the keys that every stack needs, and no others.
func good() values {
	return values{
		"aws:region":            "us-east-1",
		"aws:allowedAccountIds": `["123456789012"]`,
		"network.playerCidrs":   `["203.0.113.0/24"]`,
	}
}

// but is the good configuration with changes.
func but(changes values) map[string]string {
	all := map[string]string{}
	for _, layer := range []values{good(), changes} {
		for key, value := range layer {
			if !strings.Contains(key, ":") {
				key = contract.Product + ":" + key
			}
			all[key] = value
		}
	}
	maps.DeleteFunc(all, func(_, value string) bool { return value == unset })
	return all
}

func load(t *testing.T, stack string, all map[string]string) (cfg *config.Config, err error) {
	t.Helper()
	componenttest.Execute(t, componenttest.Preview, func(ctx *pulumi.Context) error {
		cfg, err = config.Load(ctx)
		return nil
	}, componenttest.WithStack(stack), componenttest.WithConfig(all)).Must(t)
	return cfg, err
}

func mustLoad(t *testing.T, changes values) *config.Config {
	t.Helper()
	cfg, err := load(t, "dev", but(changes))
	require.NoError(t, err)
	return cfg
}

// faultsOf is every line of a configuration's error.
func faultsOf(t *testing.T, stack string, all map[string]string) []string {
	t.Helper()
	_, err := load(t, stack, all)
	if err == nil {
		return nil
	}
	if only, ok := strings.CutPrefix(err.Error(), "the stack's configuration: "); ok {
		return []string{only}
	}
	head, list, _ := strings.Cut(err.Error(), ":\n  - ")
	lines := strings.Split(list, "\n  - ")
	assert.Equal(t, fmt.Sprintf("the stack's configuration has %d faults", len(lines)), head)
	return lines
}

func list(t *testing.T, items ...string) string { return text(t, items) }

func text(t *testing.T, value any) string {
	t.Helper()
	b, err := json.Marshal(value)
	require.NoError(t, err)
	return string(b)
}

const (
	oneAccount = `a list with the account that this stack belongs to, 12 digits in quotes, such as ["123456789012"]`
	aBlock     = "an IPv4 block of /16 to /24 without host bits, such as 10.20.0.0/16"
	aVPC       = "a VPC's id, vpc-…, together with its subnets"
	subnets    = "ids of subnets of the VPC, subnet-…, each once"
	accounts   = "AWS account ids of 12 digits in quotes, each once"
	userRule   = "a name that matches ^[a-z][a-z0-9-]{0,30}$"
	userEntry  = "{notify: e-mail address}, or no value"
	addresses  = "e-mail addresses, each once"
	anImage    = "a tag, or repository@sha256: and 64 hexadecimal digits"
	aBuild     = "the key of an archive in the stack's bucket of game builds, such as builds/game.tar.zst: letters, digits and . _ - / only"
	aPrefix    = "empty, or folders of letters, digits and . _ - with a / behind each"
	aVersion   = "up to 128 letters, digits and . _ + -"
	ranges     = "ranges within 1025-65535 other than the present one, such as 8443-8446, each once"
	prices     = "instance type → US dollars an hour, above 0, for types of docs/configuration.md's table"
	aSource    = "an https:// URL, or an http:// one of this machine, 127.…"
	aSecret    = "the ARN of a secret of this account and Region, with the six characters that end it"
	x86        = "an x86_64 EC2 instance type, such as c6i.xlarge"
	tagRule    = "up to 40 of name → value; names of up to 128 letters, digits, spaces and . _ : / = + - @, " +
		"not beginning with aws: or dcv-sessions: and not differing in case only; values of up to 256 of these"
)

func imageOf(region string) string {
	return "111111111111.dkr.ecr." + region + ".amazonaws.com/game@sha256:" + strings.Repeat("0a", 32)
}

func secretOf(region, account string) string {
	return "arn:aws:secretsmanager:" + region + ":" + account + ":secret:play/certificate-AbCdEf"
}

func TestWhatIsWrongIsToldWithKeyValueAndWhatIsAllowed(t *testing.T) {
	vpc := func(id string, of ...string) values {
		return values{"network.vpcId": id, "network.subnetIds": list(t, of...)}
	}
	players := func(networks ...string) values { return values{"network.playerCidrs": list(t, networks...)} }
	users := func(json string) values { return values{"users": json} }
	types := func(names ...string) values { return values{"compute.instanceTypes": list(t, names...)} }
	tags := func(all map[string]string) values { return values{"tags": text(t, all)} }
	many := map[string]string{}
	for i := range 41 {
		many[fmt.Sprint("tag", i)] = ""
	}
	long := strings.Repeat("a", 257)

	for name, bad := range map[string]struct {
		changes values
		faults  []string
	}{
		"no Region":           {values{"aws:region": unset}, []string{`aws:region is ""; allowed: an AWS Region, such as us-east-1`}},
		"a zone for a Region": {values{"aws:region": "us-east-1a"}, []string{`aws:region is "us-east-1a"; allowed: an AWS Region, such as us-east-1`}},
		"no account":          {values{"aws:allowedAccountIds": unset}, []string{`aws:allowedAccountIds is not set; allowed: ` + oneAccount}},
		"an empty list of accounts": {values{"aws:allowedAccountIds": "[]"},
			[]string{`aws:allowedAccountIds is []; allowed: ` + oneAccount}},
		"an account that is a number": {values{"aws:allowedAccountIds": "[123456789012]"},
			[]string{`aws:allowedAccountIds is [123456789012]; allowed: ` + oneAccount}},
		"an account of 11 digits among others": {values{"aws:allowedAccountIds": `["123456789012","12345678901"]`},
			[]string{`aws:allowedAccountIds[1] is "12345678901"; allowed: ` + oneAccount}},

		"a VPC without subnets": {values{"network.vpcId": "vpc-1"},
			[]string{`dcv-sessions:network.subnetIds is []; allowed: one or more subnets of vpc-1: an existing VPC comes with its subnets`}},
		"subnets without their VPC": {vpc("", "subnet-1"),
			[]string{`dcv-sessions:network.vpcId is ""; allowed: the VPC of the subnets in dcv-sessions:network.subnetIds`}},
		"a VPC's name for its id": {vpc("main", "subnet-1"), []string{`dcv-sessions:network.vpcId is "main"; allowed: ` + aVPC}},
		"a VPC among subnets":     {vpc("vpc-1", "subnet-1", "vpc-1"), []string{`dcv-sessions:network.subnetIds[1] is "vpc-1"; allowed: ` + subnets}},
		"a subnet twice": {vpc("vpc-1", "subnet-1", "subnet-1"),
			[]string{`dcv-sessions:network.subnetIds[1] is "subnet-1"; allowed: ` + subnets}},
		"a subnet that is no list": {values{"network.vpcId": "vpc-1", "network.subnetIds": "subnet-1"},
			[]string{`dcv-sessions:network.subnetIds is "subnet-1"; allowed: ` + subnets}},
		"a block too large":       {values{"network.cidrBlock": "10.0.0.0/15"}, []string{`dcv-sessions:network.cidrBlock is "10.0.0.0/15"; allowed: ` + aBlock}},
		"a block too small":       {values{"network.cidrBlock": "10.0.0.0/25"}, []string{`dcv-sessions:network.cidrBlock is "10.0.0.0/25"; allowed: ` + aBlock}},
		"a block with host bits":  {values{"network.cidrBlock": "10.20.0.1/16"}, []string{`dcv-sessions:network.cidrBlock is "10.20.0.1/16"; allowed: ` + aBlock}},
		"a block of IPv6":         {values{"network.cidrBlock": "fd00::/16"}, []string{`dcv-sessions:network.cidrBlock is "fd00::/16"; allowed: ` + aBlock}},
		"an address for a block":  {values{"network.cidrBlock": "10.20.0.0"}, []string{`dcv-sessions:network.cidrBlock is "10.20.0.0"; allowed: ` + aBlock}},
		"zones in words":          {values{"network.zones": "two"}, []string{`dcv-sessions:network.zones is "two"; allowed: a whole number from 2 to 6`}},
		"no word on players":      {values{"network.playerCidrs": unset}, []string{`dcv-sessions:network.playerCidrs is []; allowed: one or more IPv4 and IPv6 networks without host bits that don't overlap, such as 203.0.113.0/24`}},
		"players from nowhere":    {players(), []string{`dcv-sessions:network.playerCidrs is []; allowed: one or more IPv4 and IPv6 networks without host bits that don't overlap, such as 203.0.113.0/24`}},
		"a player's address":      {players("203.0.113.7"), []string{`dcv-sessions:network.playerCidrs[0] is "203.0.113.7"; allowed: an IPv4 or IPv6 network, such as 203.0.113.0/24`}},
		"IPv4 written as IPv6":    {players("::ffff:203.0.113.0/120"), []string{`dcv-sessions:network.playerCidrs[0] is "::ffff:203.0.113.0/120"; allowed: an IPv4 or IPv6 network, such as 203.0.113.0/24`}},
		"a network's host bits":   {players("203.0.113.7/24"), []string{`dcv-sessions:network.playerCidrs[0] is "203.0.113.7/24"; allowed: a network without host bits: 203.0.113.0/24?`}},
		"a network in capitals":   {players("2001:DB8::/32"), []string{`dcv-sessions:network.playerCidrs[0] is "2001:DB8::/32"; allowed: the network in its plain form: 2001:db8::/32`}},
		"a network twice":         {players("203.0.113.0/24", "203.0.113.0/24"), []string{`dcv-sessions:network.playerCidrs[1] is "203.0.113.0/24"; allowed: a network apart from the others: it overlaps 203.0.113.0/24`}},
		"a network in another":    {players("203.0.113.0/24", "203.0.113.128/25"), []string{`dcv-sessions:network.playerCidrs[1] is "203.0.113.128/25"; allowed: a network apart from the others: it overlaps 203.0.113.0/24`}},
		"the world by oversight":  {players("0.0.0.0/0"), []string{`dcv-sessions:network.playerCidrs[0] is "0.0.0.0/0"; allowed: the whole internet only if dcv-sessions:network.openToWorld is true`}},
		"IPv6's world likewise":   {players("203.0.113.0/24", "::/0"), []string{`dcv-sessions:network.playerCidrs[1] is "::/0"; allowed: the whole internet only if dcv-sessions:network.openToWorld is true`}},
		"a flag in another word":  {values{"network.playerCidrs": list(t, "0.0.0.0/0"), "network.openToWorld": "yes"}, []string{`dcv-sessions:network.openToWorld is "yes"; allowed: true or false`}},
		"an account too short":    {values{"registry.pullAccounts": list(t, "22222222222")}, []string{`dcv-sessions:registry.pullAccounts[0] is "22222222222"; allowed: ` + accounts}},
		"an account twice":        {values{"registry.pullAccounts": list(t, "222222222222", "222222222222")}, []string{`dcv-sessions:registry.pullAccounts[1] is "222222222222"; allowed: ` + accounts}},
		"an account not in quote": {values{"registry.pullAccounts": "[222222222222]"}, []string{`dcv-sessions:registry.pullAccounts is [222222222222]; allowed: ` + accounts}},

		"users as a list":          {users(`["alice"]`), []string{`dcv-sessions:users is ["alice"]; allowed: name → {notify: e-mail address}, notify being optional; a name matches ^[a-z][a-z0-9-]{0,30}$ and is no account of the session image`}},
		"a user with a capital":    {users(`{"Alice":{}}`), []string{`dcv-sessions:users.Alice is "Alice"; allowed: ` + userRule}},
		"a user with a digit":      {users(`{"1up":{}}`), []string{`dcv-sessions:users.1up is "1up"; allowed: ` + userRule}},
		"a user with a dot":        {users(`{"a.b":{}}`), []string{`dcv-sessions:users.a.b is "a.b"; allowed: ` + userRule}},
		"a user with 32 letters":   {users(`{"` + long[:32] + `":{}}`), []string{`dcv-sessions:users.` + long[:32] + ` is "` + long[:32] + `"; allowed: ` + userRule}},
		"root":                     {users(`{"root":{}}`), []string{`dcv-sessions:users.root is "root"; allowed: a name that is no account of the session image`}},
		"the image's own account":  {users(`{"dcv":{},"alice":{}}`), []string{`dcv-sessions:users.dcv is "dcv"; allowed: a name that is no account of the session image`}},
		"no e-mail address":        {users(`{"alice":{"notify":"alice"}}`), []string{`dcv-sessions:users.alice.notify is "alice"; allowed: an e-mail address`}},
		"an address with a name":   {users(`{"alice":{"notify":"Alice <alice@example.com>"}}`), []string{`dcv-sessions:users.alice.notify is "Alice <alice@example.com>"; allowed: an e-mail address`}},
		"a misspelt part":          {users(`{"alice":{"notfy":"alice@example.com"}}`), []string{`dcv-sessions:users.alice is {"notfy":"alice@example.com"}; allowed: ` + userEntry}},
		"an address for an entry":  {users(`{"alice":"alice@example.com"}`), []string{`dcv-sessions:users.alice is "alice@example.com"; allowed: ` + userEntry}},
		"two entries, in order":    {users(`{"bob":1,"alice":2,"carol":{}}`), []string{`dcv-sessions:users.alice is 2; allowed: ` + userEntry, `dcv-sessions:users.bob is 1; allowed: ` + userEntry}},
		"the team's name":          {values{"notifications.teamEmails": list(t, "team")}, []string{`dcv-sessions:notifications.teamEmails[0] is "team"; allowed: ` + addresses}},
		"the team twice":           {values{"notifications.teamEmails": list(t, "team@example.com", "team@example.com")}, []string{`dcv-sessions:notifications.teamEmails[1] is "team@example.com"; allowed: ` + addresses}},
		"the team without a list":  {values{"notifications.teamEmails": "team@example.com"}, []string{`dcv-sessions:notifications.teamEmails is "team@example.com"; allowed: ` + addresses}},
		"no instance type":         {types(), []string{`dcv-sessions:compute.instanceTypes is []; allowed: types of docs/configuration.md's table, each once`}},
		"a misspelt instance type": {types("g5.xlarg"), []string{`dcv-sessions:compute.instanceTypes[0] is "g5.xlarg"; allowed: types of docs/configuration.md's table, each once; nearest: g5.xlarge`}},
		"an ARM host":              {types("g5.xlarge", "g5g.xlarge"), []string{`dcv-sessions:compute.instanceTypes[1] is "g5g.xlarge"; allowed: types of docs/configuration.md's table, each once; nearest: g5.xlarge`}},
		"an instance type twice":   {types("g5.xlarge", "g5.xlarge"), []string{`dcv-sessions:compute.instanceTypes[1] is "g5.xlarge"; allowed: each type once`}},

		"a machine image by its name": {values{"compute.image": "al2023-ami-ecs-gpu"}, []string{
			`dcv-sessions:compute.image is "al2023-ami-ecs-gpu"; allowed: an AMI's id, ami-…, or latest`}},
		"more sizes than a queue takes": {values{"compute.instanceTypes": list(t, "g5.xlarge", "g5.2xlarge", "g5.4xlarge", "g6.8xlarge")}, []string{
			`dcv-sessions:compute.instanceTypes is ["g5.xlarge","g5.2xlarge","g5.4xlarge","g6.8xlarge"]; allowed: types of at most 3 sizes when dcv-sessions:compute.spot is false: ` +
				`a job queue takes 3 compute environments, one for each size and one for Spot hosts`}},
		"more sizes than fit beside Spot": {values{"compute.instanceTypes": list(t, "g5.xlarge", "g5.2xlarge", "g5.4xlarge"), "compute.spot": "true"}, []string{
			`dcv-sessions:compute.instanceTypes is ["g5.xlarge","g5.2xlarge","g5.4xlarge"]; allowed: types of at most 2 sizes when dcv-sessions:compute.spot is true: ` +
				`a job queue takes 3 compute environments, one for each size and one for Spot hosts`}},
		"more held ready than allowed": {values{"compute.minVcpus": "65"},
			[]string{`dcv-sessions:compute.minVcpus is 65; allowed: at most dcv-sessions:compute.maxVcpus, 64`}},
		"hosts larger than all": {values{"compute.instanceTypes": list(t, "g5.xlarge", "g5.24xlarge"), "compute.spot": "true"}, []string{
			`dcv-sessions:compute.maxVcpus is 64; allowed: at least the 96 vCPUs of one g5.24xlarge`,
			`dcv-sessions:compute.spotMaxVcpus is 64; allowed: at least the 96 vCPUs of one g5.24xlarge`}},
		"a type twice that is too large": {values{"compute.instanceTypes": list(t, "g5.2xlarge", "g5.2xlarge"), "compute.maxVcpus": "4"}, []string{
			`dcv-sessions:compute.instanceTypes[1] is "g5.2xlarge"; allowed: each type once`,
			`dcv-sessions:compute.maxVcpus is 4; allowed: at least the 8 vCPUs of one g5.2xlarge`}},

		"more vCPUs than a host's": {values{"session.vcpus": "5", "compute.instanceTypes": list(t, "g5.xlarge", "g5.2xlarge")}, []string{
			`dcv-sessions:compute.instanceTypes is "g5.xlarge"; allowed: a type that a session fits: it takes 5 vCPUs, 14000 MiB, 1 GPU ` +
				`(dcv-sessions:session.vcpus, memoryMib, gpus); g5.xlarge has 4 vCPUs, 15532 MiB for containers, 1 GPU; missing: 1 vCPU; the cheapest type that it fits: g4dn.2xlarge`}},
		"more memory than a host's": {values{"session.memoryMib": "15533"}, []string{
			`dcv-sessions:compute.instanceTypes is "g5.xlarge"; allowed: a type that a session fits: it takes 3 vCPUs, 15533 MiB, 1 GPU ` +
				`(dcv-sessions:session.vcpus, memoryMib, gpus); g5.xlarge has 4 vCPUs, 15532 MiB for containers, 1 GPU; missing: 1 MiB; the cheapest type that it fits: g4dn.2xlarge`}},
		"more GPUs than a host's": {values{"session.gpus": "2"}, []string{
			`dcv-sessions:compute.instanceTypes is "g5.xlarge"; allowed: a type that a session fits: it takes 3 vCPUs, 14000 MiB, 2 GPUs ` +
				`(dcv-sessions:session.vcpus, memoryMib, gpus); g5.xlarge has 4 vCPUs, 15532 MiB for containers, 1 GPU; missing: 1 GPU; the cheapest type that it fits: g4dn.12xlarge`}},
		"more than any host's": {values{"session.vcpus": "192", "session.memoryMib": "1572864"}, []string{
			`dcv-sessions:compute.instanceTypes is "g5.xlarge"; allowed: a type that a session fits: it takes 192 vCPUs, 1572864 MiB, 1 GPU ` +
				`(dcv-sessions:session.vcpus, memoryMib, gpus); g5.xlarge has 4 vCPUs, 15532 MiB for containers, 1 GPU; missing: 188 vCPUs, 1557332 MiB; the cheapest type that it fits: none`}},
		"prices of nothing": {values{"compute.prices": `{"g5.xlarge":0,"m5.large":0.1,"g6.xlarge":0.9}`}, []string{
			`dcv-sessions:compute.prices.g5.xlarge is 0; allowed: ` + prices,
			`dcv-sessions:compute.prices.m5.large is 0.1; allowed: ` + prices}},
		"a price in words": {values{"compute.prices": `{"g5.xlarge":"1.006"}`}, []string{
			`dcv-sessions:compute.prices is {"g5.xlarge":"1.006"}; allowed: ` + prices}},
		"more sharers than meant": {values{"session.perGpu": "2", "session.vcpus": "1", "session.memoryMib": "4000", "compute.instanceTypes": list(t, "g5.2xlarge")}, []string{
			`dcv-sessions:session.perGpu is 2; allowed: at least 7, or more vCPUs or memory a session: by these a g5.2xlarge carries 7 sessions on 1 GPUs`}},
		"a GPU shared and owned": {values{"session.perGpu": "3", "session.gpus": "2"}, []string{
			`dcv-sessions:session.gpus is 2; allowed: 1 when dcv-sessions:session.perGpu is 3: a GPU is shared or owned`}},
		"shared memory of it all": {values{"session.sharedMemoryMib": "14000"}, []string{
			`dcv-sessions:session.sharedMemoryMib is 14000; allowed: less than dcv-sessions:session.memoryMib, 14000`}},
		"ports past the last": {values{"session.firstPort": "32765", "compute.instanceTypes": list(t, "g5.12xlarge")}, []string{
			`dcv-sessions:session.firstPort is 32765-32768; allowed: a range within 1025-32767, a port for each session of a host`}},
		"ports over Docker's": {values{"session.firstPort": "2372", "compute.instanceTypes": list(t, "g5.12xlarge")}, []string{
			`dcv-sessions:session.firstPort is 2372-2375; allowed: a range without 2375-2376, which the hosts use themselves`}},
		"former ports": {values{"session.formerPorts": list(t, "8444-8446", "8444", "8446-8444", "80-81", "8444-8446", "8443-8443")}, []string{
			`dcv-sessions:session.formerPorts[1] is "8444"; allowed: ` + ranges,
			`dcv-sessions:session.formerPorts[2] is "8446-8444"; allowed: ` + ranges,
			`dcv-sessions:session.formerPorts[3] is "80-81"; allowed: ` + ranges,
			`dcv-sessions:session.formerPorts[4] is "8444-8446"; allowed: ` + ranges,
			`dcv-sessions:session.formerPorts[5] is "8443-8443"; allowed: ` + ranges}},
		"ports of outgoing connections": {values{"session.firstPort": "32768"}, []string{
			`dcv-sessions:session.firstPort is 32768; allowed: a whole number from 1025 to 32767`}},
		"vCPUs that are no whole number": {values{"session.vcpus": "2.5"}, []string{`dcv-sessions:session.vcpus is 2.5; allowed: a whole number from 1 to 192`}},
		"privileged in another word":     {values{"session.privileged": "True"}, []string{`dcv-sessions:session.privileged is "True"; allowed: true or false`}},

		"an image by name and tag":   {values{"image.use": "game:1.2"}, []string{`dcv-sessions:image.use is "game:1.2"; allowed: ` + anImage}},
		"a build that is no archive": {values{"image.gameBuild.key": "builds/game.7z"}, []string{`dcv-sessions:image.gameBuild.key is "builds/game.7z"; allowed: ` + aBuild}},
		"a build's version of none":  {values{"image.gameBuild.version": "null"}, []string{`dcv-sessions:image.gameBuild.version is "null"; allowed: an S3 version id, or latest`}},
		"a build for a machine without a role": {values{"image.gameBuild.key": "builds/game.tgz", "image.buildOn": "local"},
			[]string{`dcv-sessions:image.buildOn is "local"; allowed: builder when dcv-sessions:image.gameBuild.key is set: ` +
				`this machine has no role to read the build with, and no aws:ec2MetadataServiceEndpoint stands for one`}},
		"a prefix without its end":   {values{"delivery.prefix": "builds"}, []string{`dcv-sessions:delivery.prefix is "builds"; allowed: ` + aPrefix}},
		"a repository by its URL":    {values{"delivery.repository": "https://github.com/a/b"}, []string{`dcv-sessions:delivery.repository is "https://github.com/a/b"; allowed: OWNER/NAME`}},
		"a workflow by its name":     {values{"delivery.workflow": "Release"}, []string{`dcv-sessions:delivery.workflow is "Release"; allowed: the name of a file in .github/workflows, such as release.yml`}},
		"no branch":                  {values{"delivery.ref": ""}, []string{`dcv-sessions:delivery.ref is ""; allowed: a branch or a tag`}},
		"an API that anybody can be": {values{"delivery.api": "http://github.com"}, []string{`dcv-sessions:delivery.api is "http://github.com"; allowed: an https:// URL`}},
		"a subject of any branch":    {values{"delivery.oidcSubjects": `["repo:a/b:*"]`}, []string{`dcv-sessions:delivery.oidcSubjects[0] is "repo:a/b:*"; allowed: repo:OWNER/NAME or repo:OWNER@ID/NAME@ID, each once`}},
		"a state bucket's URL":       {values{"delivery.stateBucket": "s3://state"}, []string{`dcv-sessions:delivery.stateBucket is "s3://state"; allowed: an S3 bucket's name`}},
		"a state key's alias":        {values{"delivery.stateKeyArn": "alias/state"}, []string{`dcv-sessions:delivery.stateKeyArn is "alias/state"; allowed: a KMS key's ARN, no alias's`}},
		"a digest cut short":         {values{"image.use": "host/game@sha256:1234"}, []string{`dcv-sessions:image.use is "host/game@sha256:1234"; allowed: ` + anImage}},
		"an image of another Region": {values{"image.use": imageOf("eu-west-1")}, []string{`dcv-sessions:image.use is "` + imageOf("eu-west-1") +
			`"; allowed: an image of aws:region, which is us-east-1; this one is of eu-west-1: copy it to a repository of us-east-1 first (docs/delivery.md)`}},
		"an unknown place to build":   {values{"image.buildOn": "docker"}, []string{`dcv-sessions:image.buildOn is "docker"; allowed: builder or local`}},
		"no base image":               {values{"image.base": ""}, []string{`dcv-sessions:image.base is ""; allowed: an image reference, such as ubuntu:24.04`}},
		"a base image with blanks":    {values{"image.base": "debian bookworm"}, []string{`dcv-sessions:image.base is "debian bookworm"; allowed: an image reference, such as ubuntu:24.04`}},
		"a source without a scheme":   {values{"image.dcvSource": "example.com/dcv"}, []string{`dcv-sessions:image.dcvSource is "example.com/dcv"; allowed: ` + aSource}},
		"a source in the open":        {values{"image.dcvSource": "http://example.com"}, []string{`dcv-sessions:image.dcvSource is "http://example.com"; allowed: ` + aSource}},
		"a source with a password":    {values{"image.dcvSource": "https://a:b@example.com"}, []string{`dcv-sessions:image.dcvSource is "https://a:b@example.com"; allowed: ` + aSource}},
		"a game that isn't there":     {values{"image.game": "image/games/none"}, []string{"dcv-sessions:image.game: stat ../image/games/none: no such file or directory"}},
		"a game that is a text":       {values{"image.game": "LICENSE"}, []string{"dcv-sessions:image.game: ../LICENSE is neither a folder nor an archive (.tar, .tar.gz, .tgz, .tar.zst, .zip)"}},
		"a brand that isn't there":    {values{"image.branding": "image"}, []string{"dcv-sessions:image.branding: open ../image/branding.yaml: no such file or directory"}},
		"a secret of another Region":  {values{"session.certificateSecretArn": secretOf("eu-west-1", "123456789012")}, []string{`dcv-sessions:session.certificateSecretArn is "` + secretOf("eu-west-1", "123456789012") + `"; allowed: ` + aSecret}},
		"a secret of another account": {values{"session.certificateSecretArn": secretOf("us-east-1", "111111111111")}, []string{`dcv-sessions:session.certificateSecretArn is "` + secretOf("us-east-1", "111111111111") + `"; allowed: ` + aSecret}},
		"a session that a change of the hosts would end": {values{"session.maxMinutes": "301"}, []string{
			`dcv-sessions:session.maxMinutes is 301; allowed: at most dcv-sessions:compute.updateTimeoutMinutes, 300: a change of the hosts terminates ` +
				`the sessions on old ones after so long; or more if dcv-sessions:compute.updateEndsSessions is true, which accepts that`}},
		"a wait longer than a session": {values{"session.firstConnectMinutes": "16", "session.maxMinutes": "15"}, []string{
			`dcv-sessions:session.firstConnectMinutes is 16m; allowed: at most dcv-sessions:session.maxMinutes, 15m`}},
		"no version":                  {values{"image.version": ""}, []string{`dcv-sessions:image.version is ""; allowed: ` + aVersion}},
		"a version with a slash":      {values{"image.version": "1/2"}, []string{`dcv-sessions:image.version is "1/2"; allowed: ` + aVersion}},
		"a revision with a blank":     {values{"image.revision": "a b"}, []string{`dcv-sessions:image.revision is "a b"; allowed: ` + aVersion}},
		"a version of 129 letters":    {values{"image.version": long[:129]}, []string{`dcv-sessions:image.version is "` + long[:129] + `"; allowed: ` + aVersion}},
		"a builder of no type":        {values{"builder.instanceType": "large"}, []string{`dcv-sessions:builder.instanceType is "large"; allowed: ` + x86}},
		"an ARM builder":              {values{"builder.instanceType": "c6g.xlarge"}, []string{`dcv-sessions:builder.instanceType is "c6g.xlarge"; allowed: ` + x86}},
		"too short a recovery":        {values{"secrets.recoveryDays": "6"}, []string{`dcv-sessions:secrets.recoveryDays is 6; allowed: 0, or a whole number from 7 to 30`}},
		"too long a recovery":         {values{"secrets.recoveryDays": "31"}, []string{`dcv-sessions:secrets.recoveryDays is 31; allowed: 0, or a whole number from 7 to 30`}},
		"days that CloudWatch hasn't": {values{"logs.retentionDays": "2"}, []string{`dcv-sessions:logs.retentionDays is 2; allowed: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653`}},
		"protect in another word":     {values{"protect": "1"}, []string{`dcv-sessions:protect is 1; allowed: true or false`}},

		"tags as a list":            {values{"tags": `["team"]`}, []string{`dcv-sessions:tags is ["team"]; allowed: ` + tagRule}},
		"a tag that is a number":    {values{"tags": `{"centre":42}`}, []string{`dcv-sessions:tags is {"centre":42}; allowed: ` + tagRule}},
		"41 tags":                   {tags(many), []string{`the number of dcv-sessions:tags is 41; allowed: up to 40`}},
		"a tag of AWS":              {tags(map[string]string{"AWS:team": "a"}), []string{`dcv-sessions:tags["AWS:team"] is "a"; allowed: ` + tagRule}},
		"a tag of our own":          {tags(map[string]string{contract.TagStack: "prod"}), []string{`dcv-sessions:tags["dcv-sessions:stack"] is "prod"; allowed: ` + tagRule}},
		"tags of one name, for IAM": {tags(map[string]string{"Team": "a", "team": "b"}), []string{`dcv-sessions:tags["team"] is "b"; allowed: ` + tagRule}},
		"a tag without a name":      {tags(map[string]string{"": "a"}), []string{`dcv-sessions:tags[""] is "a"; allowed: ` + tagRule}},
		"a tag of 129 letters":      {tags(map[string]string{long[:129]: ""}), []string{`dcv-sessions:tags["` + long[:129] + `"] is ""; allowed: ` + tagRule}},
		"a value of 257 letters":    {tags(map[string]string{"team": long}), []string{`dcv-sessions:tags["team"] is "` + long + `"; allowed: ` + tagRule}},
		"a tag with an umbrella":    {tags(map[string]string{"team": "☂"}), []string{`dcv-sessions:tags["team"] is "☂"; allowed: ` + tagRule}},
	} {
		assert.Equal(t, bad.faults, faultsOf(t, "dev", but(bad.changes)), name)
	}
}

func TestEveryFaultOfGameAndBrandIsTold(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"game.yaml":     "name: Chess\nversion: 1\nexecutable: play\ngraphics: directx\n",
		"branding.yaml": "logo: none.svg\n",
		"play":          "#!/bin/sh\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	}
	require.NoError(t, os.Symlink("/etc", filepath.Join(dir, "out")))
	faults := strings.Join(faultsOf(t, "dev", but(values{"image.game": dir, "image.branding": dir, "session.vcpus": "0"})), "\n")
	for _, fault := range []string{
		`dcv-sessions:session.vcpus is 0; allowed`,
		"dcv-sessions:image.branding: branding.yaml: title is not set; allowed: a text of 1 to 40 characters on one line",
		"dcv-sessions:image.branding: branding.yaml: logo: open ",
		`dcv-sessions:image.game: game.yaml: graphics is "directx"; allowed: opengl, egl or vulkan`,
		`dcv-sessions:image.game: the game's folder: out: a link to "/etc", which leads out`,
	} {
		assert.Contains(t, faults, fault)
	}
}

func TestAStacksNameMustFitPhysicalNames(t *testing.T) {
	for _, stack := range []string{"Dev", "dev_1", "1dev", "-dev", strings.Repeat("a", 22)} {
		assert.Equal(t, []string{fmt.Sprintf("the stack's name is %q; allowed: a name that matches ^[a-z][a-z0-9-]{0,20}$", stack)},
			faultsOf(t, stack, but(nil)))
	}
	for _, stack := range []string{"d", "dev-1", strings.Repeat("a", 21)} {
		assert.Empty(t, faultsOf(t, stack, but(nil)), stack)
	}
}

// limits are the ranges of whole numbers that set no setting, with the keys that a
// value at an end needs besides.
var limits = []struct {
	key         string
	least, most int
	beside      values
}{
	{"network.zones", 2, 6, nil},
	{"registry.keep", 2, 1000, nil},
	{"registry.keepReleased", 2, 10000, nil},
	{"compute.minVcpus", 0, 100000, values{"compute.maxVcpus": "100000"}},
	{"compute.maxVcpus", 1, 100000, nil},
	{"compute.spotMaxVcpus", 1, 100000, nil},
	{"compute.rootGib", 30, 16384, nil},
	{"compute.updateTimeoutMinutes", 1, 360, values{"compute.updateEndsSessions": "true"}},
	{"queue.maxWaitMinutes", 10, 1440, nil},
	{"session.vcpus", 1, 192, values{"compute.instanceTypes": `["g5.48xlarge"]`, "compute.maxVcpus": "192"}},
	{"session.memoryMib", 128, 1572864, values{"session.sharedMemoryMib": "64"}},
	{"session.gpus", 1, 8, values{"compute.instanceTypes": `["g5.48xlarge"]`, "compute.maxVcpus": "192"}},
	{"session.perGpu", 1, 16, nil},
	{"session.sharedMemoryMib", 64, 65536, values{"session.memoryMib": "65537", "compute.instanceTypes": `["g5.12xlarge"]`}},
	{"session.attempts", 1, 10, nil},
	{"image.gameMaxGib", 1, 16384, nil},
	{"builder.volumeGib", 30, 16384, nil},
	{"builder.idleMinutes", 1, 1440, nil},
	{"builder.maxHours", 1, 48, nil},
	{"secrets.recoveryDays", 0, 30, nil},
	{"alarms.waitMinutes", 1, 1440, nil},
	{"alarms.framesPerSecond", 0, 240, nil},
	{"budget.monthlyUsd", 0, 10000000, nil},
}

// unreachable are ends of a range that another rule is stricter than.
var unreachable = map[string]string{
	"compute.maxVcpus 1":        "at least the 4 vCPUs of one g5.xlarge",
	"session.memoryMib 1572864": "a type that a session fits", // what the largest type is sold with
}

func TestEachRangeEndsWhereItIsSaidTo(t *testing.T) {
	var tested []string
	for _, l := range limits {
		tested = append(tested, l.key)
		at := func(value int) values {
			changes := maps.Clone(l.beside)
			if changes == nil {
				changes = values{}
			}
			changes[l.key] = fmt.Sprint(value)
			return changes
		}
		for _, value := range []int{l.least, l.most} {
			stricter := unreachable[fmt.Sprintf("%s %d", l.key, value)]
			faults := faultsOf(t, "dev", but(at(value)))
			if stricter == "" {
				assert.Empty(t, faults, "%s %d", l.key, value)
			} else if assert.Len(t, faults, 1, "%s %d", l.key, value) {
				assert.Contains(t, faults[0], stricter)
			}
		}
		allowed := fmt.Sprintf("a whole number from %d to %d", l.least, l.most)
		if l.key == "secrets.recoveryDays" {
			allowed = "0, or a whole number from 7 to 30"
		}
		for _, value := range []int{l.least - 1, l.most + 1} {
			assert.Equal(t, []string{fmt.Sprintf(`dcv-sessions:%s is %d; allowed: %s`, l.key, value, allowed)},
				faultsOf(t, "dev", but(at(value))))
		}
	}
	var numbers []string
	for _, k := range config.Keys() {
		if k.Setting() == "" && k.Type == "integer" && k.Name != "logs.retentionDays" {
			numbers = append(numbers, k.Name)
		}
	}
	assert.Equal(t, numbers, tested, "every whole number has its limits here")
}

func TestWhatIsJustAllowedIsTaken(t *testing.T) {
	tags := map[string]string{}
	for i := range 40 {
		tags[fmt.Sprintf("Ä %0126d", i)] = strings.Repeat("ü", 256)
	}
	for name, changes := range map[string]values{
		"an existing VPC":                {"network.vpcId": "vpc-0a1b", "network.subnetIds": `["subnet-0a","subnet-0b"]`},
		"the largest block":              {"network.cidrBlock": "10.0.0.0/16"},
		"the smallest block":             {"network.cidrBlock": "192.168.7.0/24"},
		"the world, meant":               {"network.playerCidrs": `["0.0.0.0/0","::/0"]`, "network.openToWorld": "true"},
		"one address":                    {"network.playerCidrs": `["203.0.113.7/32","2001:db8::1/128"]`},
		"neighbours":                     {"network.playerCidrs": `["203.0.113.0/25","203.0.113.128/25"]`},
		"a Region of another partition":  {"aws:region": "us-gov-west-1"},
		"users with and without address": {"users": `{"a":null,"b":{},"c-3":{"notify":"c@example.com"},"` + strings.Repeat("d", 31) + `":{}}`},
		"hosts all held ready":           {"compute.minVcpus": "64"},
		"one host":                       {"compute.maxVcpus": "4"},
		"as long as a change of hosts":   {"session.maxMinutes": "300"},
		"longer, and its end accepted":   {"session.maxMinutes": "301", "compute.updateEndsSessions": "true"},
		"one Spot host":                  {"compute.spot": "true", "compute.spotMaxVcpus": "4"},
		"Spot's most unused":             {"compute.spotMaxVcpus": "1"},
		"the last byte of a host":        {"session.memoryMib": "15532"},
		"the largest host's last byte":   {"session.memoryMib": "1494188", "compute.instanceTypes": `["g6e.48xlarge"]`, "compute.maxVcpus": "192"},
		"just as many sharers":           {"session.perGpu": "7", "session.vcpus": "1", "session.memoryMib": "4000", "compute.instanceTypes": `["g5.2xlarge"]`},
		"shared memory of nearly all":    {"session.sharedMemoryMib": "13999"},
		"the last four ports":            {"session.firstPort": "32764", "compute.instanceTypes": `["g5.12xlarge"]`},
		"ports just below Docker's":      {"session.firstPort": "2371", "compute.instanceTypes": `["g5.12xlarge"]`},
		"ports just above Docker's":      {"session.firstPort": "2377"},
		"a tag of the repository":        {"image.use": "0a1b2c3d4e5f6071"},
		"an image of another account":    {"image.use": imageOf("us-east-1")},
		"a base by digest":               {"image.base": "registry:5000/debian@sha256:" + strings.Repeat("0a", 32)},
		"a game as large as a volume":    {"image.gameMaxGib": "16384"},
		"a copy of DCV":                  {"image.dcvSource": "http://127.0.0.1:8080/dcv"},
		"a certificate":                  {"session.certificateSecretArn": secretOf("us-east-1", "123456789012")},
		"a wait to the end":              {"session.firstConnectMinutes": "15", "session.maxMinutes": "15"},
		"no game for an image that is":   {"image.use": "1.2", "image.game": "none", "image.branding": "none"},
		"a build for a builder":          {"image.gameBuild.key": "builds/game.tar.zst", "image.game": "none"},
		"a build where a role is":        {"image.gameBuild.key": "game.tgz", "image.buildOn": "local", "aws:ec2MetadataServiceEndpoint": "http://127.0.0.1:1"},
		"a build that isn't built":       {"image.gameBuild.key": "game.tgz", "image.buildOn": "local", "image.use": "1.2"},
		"every archive delivered":        {"delivery.prefix": ""},
		"the longest version":            {"image.version": strings.Repeat("v", 128)},
		"any x86 builder":                {"builder.instanceType": "m7i-flex.large"},
		"secrets gone at once":           {"secrets.recoveryDays": "0"},
		"the least recovery":             {"secrets.recoveryDays": "7"},
		"40 tags as long as they may":    {"tags": text(t, tags)},
		"a tag without a value":          {"tags": `{"spot":""}`},
	} {
		assert.Empty(t, faultsOf(t, "dev", but(changes)), name)
	}
	for _, days := range strings.FieldsFunc("1|3|5|7|14|30|60|90|120|150|180|365|400|545|731|1096|1827|2192|2557|2922|3288|3653", func(r rune) bool { return r == '|' }) {
		assert.Empty(t, faultsOf(t, "dev", but(values{"logs.retentionDays": days})), days)
	}
}

func TestEveryFaultIsToldAtOnceAndOnce(t *testing.T) {
	all := but(values{
		"aws:region":                       "us-east-1a",
		"aws:allowedAccountIds":            `["1234"]`,
		"network.vpcId":                    "main",
		"network.subnetIds":                `["subnet-1","subnet-1"]`,
		"network.cidrBlock":                "10.20.0.1/16",
		"network.zones":                    "7",
		"network.playerCidrs":              `["0.0.0.0/0","203.0.113.0"]`,
		"registry.keep":                    "1",
		"registry.pullAccounts":            `["1"]`,
		"users":                            `{"Alice":{},"bob":{"notify":"bob"},"carol":{"mail":1},"root":null}`,
		"compute.instanceTypes":            `["g5.xlarge","g5.xlarg","g5.xlarge"]`,
		"compute.minVcpus":                 "8",
		"compute.maxVcpus":                 "3",
		"compute.spot":                     "true",
		"compute.spotMaxVcpus":             "2",
		"compute.rootGib":                  "29",
		"compute.updateTimeoutMinutes":     "never",
		"queue.maxWaitMinutes":             "9",
		"session.vcpus":                    "5",
		"session.perGpu":                   "2",
		"session.gpus":                     "2",
		"session.sharedMemoryMib":          "14000",
		"session.firstPort":                "2376",
		"session.stopSeconds":              "111",
		"session.firstConnectMinutes":      "0",
		"session.graceSeconds":             "9",
		"session.idleMinutes":              "-1",
		"session.maxMinutes":               "0",
		"session.attempts":                 "11",
		"session.privileged":               "yes",
		"session.nativeClients":            "yes",
		"session.display":                  "screen",
		"session.softwareRendering":        "yes",
		"session.certificateSecretArn":     "play",
		"image.use":                        "a b",
		"image.buildOn":                    "docker",
		"image.base":                       "",
		"image.displayServer":              "x11",
		"image.dcvSource":                  "example.com",
		"image.version":                    "",
		"builder.instanceType":             "c6g.xlarge",
		"builder.volumeGib":                "29",
		"secrets.recoveryDays":             "5",
		"notifications.teamEmails":         `["team"]`,
		"logs.retentionDays":               "2",
		"protect":                          "maybe",
		"tags":                             `{"aws:a":"b"}`,
		"dcv-sessions:sesion.memoryMib":    "1",
		"another-project:session.anything": "left alone",
	})
	t.Setenv(pulumi.EnvConfig, text(t, all))
	assert.Equal(t, []string{
		`aws:region is "us-east-1a"; allowed: an AWS Region, such as us-east-1`,
		`aws:allowedAccountIds[0] is "1234"; allowed: ` + oneAccount,
		`dcv-sessions:users.carol is {"mail":1}; allowed: ` + userEntry,
		`dcv-sessions:compute.updateTimeoutMinutes is "never"; allowed: a whole number from 1 to 360`,
		`dcv-sessions:session.stopSeconds is 111; allowed: a whole number from 12 to 110`,
		`dcv-sessions:session.firstConnectMinutes is 0; allowed: a whole number from 1 to 1440`,
		`dcv-sessions:session.graceSeconds is 9; allowed: a whole number from 10 to 7200`,
		`dcv-sessions:session.idleMinutes is -1; allowed: a whole number from 0 to 1440`,
		`dcv-sessions:session.maxMinutes is 0; allowed: a whole number from 1 to 10080`,
		`dcv-sessions:session.privileged is "yes"; allowed: true or false`,
		`dcv-sessions:session.nativeClients is "yes"; allowed: true or false`,
		`dcv-sessions:session.display is "screen"; allowed: console or virtual`,
		`dcv-sessions:session.softwareRendering is "yes"; allowed: true or false`,
		`dcv-sessions:protect is "maybe"; allowed: true or false`,
		`dcv-sessions:sesion.memoryMib is no known key; nearest: dcv-sessions:session.memoryMib`,
		`the stack's name is "Dev"; allowed: a name that matches ^[a-z][a-z0-9-]{0,20}$`,
		`dcv-sessions:network.vpcId is "main"; allowed: ` + aVPC,
		`dcv-sessions:network.subnetIds[1] is "subnet-1"; allowed: ` + subnets,
		`dcv-sessions:network.cidrBlock is "10.20.0.1/16"; allowed: ` + aBlock,
		`dcv-sessions:network.zones is 7; allowed: a whole number from 2 to 6`,
		`dcv-sessions:network.playerCidrs[0] is "0.0.0.0/0"; allowed: the whole internet only if dcv-sessions:network.openToWorld is true`,
		`dcv-sessions:network.playerCidrs[1] is "203.0.113.0"; allowed: an IPv4 or IPv6 network, such as 203.0.113.0/24`,
		`dcv-sessions:registry.keep is 1; allowed: a whole number from 2 to 1000`,
		`dcv-sessions:registry.pullAccounts[0] is "1"; allowed: ` + accounts,
		`dcv-sessions:users.Alice is "Alice"; allowed: ` + userRule,
		`dcv-sessions:users.bob.notify is "bob"; allowed: an e-mail address`,
		`dcv-sessions:users.root is "root"; allowed: a name that is no account of the session image`,
		`dcv-sessions:notifications.teamEmails[0] is "team"; allowed: ` + addresses,
		`dcv-sessions:secrets.recoveryDays is 5; allowed: 0, or a whole number from 7 to 30`,
		`dcv-sessions:compute.instanceTypes[1] is "g5.xlarg"; allowed: types of docs/configuration.md's table, each once; nearest: g5.xlarge`,
		`dcv-sessions:compute.instanceTypes[2] is "g5.xlarge"; allowed: each type once`,
		`dcv-sessions:compute.minVcpus is 8; allowed: at most dcv-sessions:compute.maxVcpus, 3`,
		`dcv-sessions:compute.maxVcpus is 3; allowed: at least the 4 vCPUs of one g5.xlarge`,
		`dcv-sessions:compute.spotMaxVcpus is 2; allowed: at least the 4 vCPUs of one g5.xlarge`,
		`dcv-sessions:compute.rootGib is 29; allowed: a whole number from 30 to 16384`,
		`dcv-sessions:queue.maxWaitMinutes is 9; allowed: a whole number from 10 to 1440`,
		`dcv-sessions:session.attempts is 11; allowed: a whole number from 1 to 10`,
		`dcv-sessions:session.sharedMemoryMib is 14000; allowed: less than dcv-sessions:session.memoryMib, 14000`,
		`dcv-sessions:session.gpus is 2; allowed: 1 when dcv-sessions:session.perGpu is 2: a GPU is shared or owned`,
		`dcv-sessions:image.use is "a b"; allowed: ` + anImage,
		`dcv-sessions:image.buildOn is "docker"; allowed: builder or local`,
		`dcv-sessions:image.base is ""; allowed: an image reference, such as ubuntu:24.04`,
		`dcv-sessions:image.version is ""; allowed: ` + aVersion,
		`dcv-sessions:image.displayServer is "x11"; allowed: dcv or vnc`,
		`dcv-sessions:image.dcvSource is "example.com"; allowed: ` + aSource,
		`dcv-sessions:builder.instanceType is "c6g.xlarge"; allowed: ` + x86,
		`dcv-sessions:builder.volumeGib is 29; allowed: a whole number from 30 to 16384`,
		`dcv-sessions:logs.retentionDays is 2; allowed: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653`,
		`dcv-sessions:tags["aws:a"] is "b"; allowed: ` + tagRule,
		`dcv-sessions:compute.instanceTypes is "g5.xlarge"; allowed: a type that a session fits: it takes 5 vCPUs, 14000 MiB, a share of a GPU (dcv-sessions:session.vcpus, memoryMib, gpus); g5.xlarge has 4 vCPUs, 15532 MiB for containers, 1 GPU; missing: 1 vCPU; the cheapest type that it fits: g4dn.2xlarge`,
		`dcv-sessions:session.firstPort is 2376-2376; allowed: a range without 2375-2376, which the hosts use themselves`,
		`dcv-sessions:session.certificateSecretArn is "play"; allowed: ` + aSecret,
	}, faultsOf(t, "Dev", all))
}

// A value that can't be read has one fault; rules that would compare it keep silent.
func TestAMalformedValueHasNoFurtherFaults(t *testing.T) {
	together, want := values{}, []string{}
	for _, k := range config.Keys() {
		if k.Type == "string" {
			continue
		}
		fault := fmt.Sprintf(`dcv-sessions:%s is "wrong"; allowed: %s`, k.Name, k.Allowed)
		assert.Equal(t, []string{fault}, faultsOf(t, "dev", but(values{k.Name: "wrong"})))
		together[k.Name], want = "wrong", append(want, fault)
	}
	assert.Equal(t, want, faultsOf(t, "dev", but(together)))

	// A value outside its own range is not compared with others.
	assert.Len(t, faultsOf(t, "dev", but(values{"session.vcpus": "193"})), 1)
	assert.Len(t, faultsOf(t, "dev", but(values{"session.memoryMib": "127"})), 1)
	assert.Len(t, faultsOf(t, "dev", but(values{"compute.maxVcpus": "0", "compute.minVcpus": "4"})), 1)
	assert.Len(t, faultsOf(t, "dev", but(values{"session.perGpu": "17", "session.gpus": "2"})), 1)
}

func TestAMisspeltKeyIsFoundWithoutItsValue(t *testing.T) {
	all := but(values{"session.firstport2": "hunter2", "Protect": "hunter2", "zzz": "hunter2", "docker:host": "unix:///"})
	t.Setenv(pulumi.EnvConfig, text(t, all))
	faults := faultsOf(t, "dev", all)
	assert.Equal(t, []string{
		`dcv-sessions:Protect is no known key; nearest: dcv-sessions:protect`,
		`dcv-sessions:session.firstport2 is no known key; nearest: dcv-sessions:session.firstPort`,
		`dcv-sessions:zzz is no known key; nearest: dcv-sessions:tags`,
	}, faults)
	assert.NotContains(t, strings.Join(faults, "\n"), "hunter2", "it might be a secret's")
}

// `pulumi config set --path session.firstPort` writes an object, which no key
// reads: it would be without effect.
func TestAGroupSetAsAnObjectIsFound(t *testing.T) {
	all := but(values{"session": `{"firstPort":9443}`, "network": `{"zones":3}`})
	want := []string{
		"dcv-sessions:network is no key but a group of keys; set each of them by itself: `pulumi config set` without --path",
		"dcv-sessions:session is no key but a group of keys; set each of them by itself: `pulumi config set` without --path",
	}
	assert.Equal(t, want, faultsOf(t, "dev", all))
	t.Setenv(pulumi.EnvConfig, text(t, all))
	assert.Equal(t, want, faultsOf(t, "dev", all), "each once, where the engine lists them too")
}

// standard returns the good configuration.
func standard(t *testing.T) config.Config { return *mustLoad(t, nil) }

func TestAStackNeedsOnlyRegionAccountAndPlayers(t *testing.T) {
	c := standard(t)
	for _, k := range config.Keys() {
		switch value := k.Of(&c).(type) {
		case string, int, bool:
			assert.Equal(t, k.Default, fmt.Sprint(value), k.Name)
		case []config.User:
			assert.Empty(t, value)
		default:
			if !k.Required {
				assert.JSONEq(t, k.Default, text(t, value), k.Name)
			}
		}
	}
	assert.False(t, c.Network.OpenToWorld || c.Compute.Spot || c.Compute.SupportAccess || c.Session.Privileged || c.Protect,
		"everything else has its default: closed, on demand, unprotected")
	assert.Zero(t, c.Compute.MinVCPUs)
}

func TestEveryValueReachesItsField(t *testing.T) {
	want := standard(t)
	want.Region, want.AllowedAccountIDs = "eu-central-1", []string{"111111111111", "222222222222"}
	want.Network.VPCID, want.Network.SubnetIDs = "vpc-1", []string{"subnet-2", "subnet-1"}
	want.Network.CIDRBlock, want.Network.Zones = "10.30.0.0/20", 3
	want.Network.PlayerCIDRs, want.Network.OpenToWorld = []string{"::/0"}, true
	want.Registry.Keep, want.Registry.KeepReleased, want.Registry.PullAccounts = 7, 70, []string{"333333333333"}
	want.Users = []config.User{{Name: "alice", Notify: "alice@example.com"}, {Name: "bob"}, {Name: "zoe"}}
	want.Compute.InstanceTypes = []string{"g6.12xlarge", "g5.2xlarge"}
	want.Compute.MinVCPUs, want.Compute.MaxVCPUs = 8, 96
	want.Compute.Spot, want.Compute.SpotMaxVCPUs = true, 48
	want.Compute.RootGiB = 150
	want.Compute.UpdateTimeoutMinutes, want.Compute.UpdateEndsSessions = 60, true
	want.Compute.Prices = map[string]float64{"g6.12xlarge": 4.5}
	want.Compute.SupportAccess, want.Compute.Image = true, "ami-0a1b2c3d"
	want.Queue.MaxWaitMinutes = 15
	want.Session.VCPUs, want.Session.MemoryMiB, want.Session.PerGPU = 4, 8000, 6
	want.Session.SharedMemoryMiB, want.Session.FirstPort, want.Session.FormerPorts = 2048, 9443, []string{"8443-8446"}
	want.Session.StopSeconds, want.Session.MaxMinutes, want.Session.Attempts, want.Session.Privileged = 60, 120, 3, true
	want.Session.FirstConnectMinutes, want.Session.GraceSeconds, want.Session.IdleMinutes = 5, 60, 0
	want.Session.UsageSeconds = 10
	want.Session.DisplayMode, want.Session.NativeClients, want.Session.SoftwareRendering = "virtual", true, true
	want.Session.CertificateSecretARN = secretOf("eu-central-1", "222222222222")
	want.Image.Use, want.Image.BuildOn, want.Image.Base, want.Image.Version = "1.2", "local", "ubuntu:26.04", "1.2+3"
	want.Image.Game, want.Image.Branding = "/builds/game.tgz", "/brand"
	want.Image.Revision = "0a1b2c3"
	want.Image.GameBuild.Key, want.Image.GameBuild.Version, want.Image.GameMaxGiB = "a/game.tar", "v3", 60
	want.MetadataEndpoint = "http://127.0.0.1:2"
	want.Delivery.Prefix, want.Delivery.Repository, want.Delivery.Workflow = "a/", "studio/game", "play.yaml"
	want.Delivery.Ref, want.Delivery.API = "next", "https://git.example.com/api/v3"
	want.Delivery.OIDCSubjects, want.Delivery.CreateOIDCProvider = []string{"repo:studio@1/game@2"}, true
	want.Delivery.StateBucket, want.Delivery.StateKeyARN = "studio-state", "arn:aws:kms:eu-central-1:222222222222:key/0a1b"
	want.Image.DisplayServer, want.Image.DCVSource = "vnc", "https://example.com/dcv"
	want.Builder.InstanceType, want.Builder.VolumeGiB = "m7i.2xlarge", 500
	want.Builder.IdleMinutes, want.Builder.MaxHours, want.Builder.ProxyCommand = 30, 8, "relay %h"
	want.Secrets.RecoveryDays = 7
	want.Notifications.TeamEmails = []string{"team@example.com"}
	want.Logs.RetentionDays = 365
	want.Protect = true
	want.Tags = map[string]string{"team": "games"}
	assert.Equal(t, want, *mustLoad(t, values{
		"aws:region": "eu-central-1", "aws:allowedAccountIds": `["111111111111","222222222222"]`,
		"network.vpcId": "vpc-1", "network.subnetIds": `["subnet-2","subnet-1"]`, "network.cidrBlock": "10.30.0.0/20", "network.zones": "3",
		"network.playerCidrs": `["::/0"]`, "network.openToWorld": "true",
		"registry.keep": "7", "registry.keepReleased": "70", "registry.pullAccounts": `["333333333333"]`,
		"users":                 `{"zoe":null,"bob":{},"alice":{"notify":"alice@example.com"}}`,
		"compute.instanceTypes": `["g6.12xlarge","g5.2xlarge"]`, "compute.minVcpus": "8", "compute.maxVcpus": "96",
		"compute.spot": "true", "compute.spotMaxVcpus": "48", "compute.rootGib": "150",
		"compute.prices":        `{"g6.12xlarge":4.5}`,
		"compute.supportAccess": "true", "compute.image": "ami-0a1b2c3d",
		"compute.updateTimeoutMinutes": "60", "compute.updateEndsSessions": "true", "queue.maxWaitMinutes": "15",
		"session.vcpus": "4", "session.memoryMib": "8000", "session.gpus": "1", "session.perGpu": "6", "session.sharedMemoryMib": "2048",
		"session.firstPort": "9443", "session.formerPorts": `["8443-8446"]`, "session.stopSeconds": "60", "session.maxMinutes": "120", "session.attempts": "3", "session.privileged": "true",
		"session.firstConnectMinutes": "5", "session.graceSeconds": "60", "session.idleMinutes": "0", "session.usageSeconds": "10",
		"session.display": "virtual", "session.nativeClients": "true", "session.softwareRendering": "true",
		"session.certificateSecretArn": secretOf("eu-central-1", "222222222222"),
		"image.use":                    "1.2", "image.buildOn": "local", "image.base": "ubuntu:26.04", "image.version": "1.2+3",
		"image.game": "/builds/game.tgz", "image.branding": "/brand", "image.revision": "0a1b2c3", "image.displayServer": "vnc", "image.dcvSource": "https://example.com/dcv",
		"image.gameBuild.key": "a/game.tar", "image.gameBuild.version": "v3", "image.gameMaxGib": "60",
		"aws:ec2MetadataServiceEndpoint": "http://127.0.0.1:2",
		"delivery.prefix":                "a/", "delivery.repository": "studio/game", "delivery.workflow": "play.yaml", "delivery.ref": "next",
		"delivery.api":          "https://git.example.com/api/v3",
		"delivery.oidcSubjects": `["repo:studio@1/game@2"]`, "delivery.createOidcProvider": "true",
		"delivery.stateBucket": "studio-state", "delivery.stateKeyArn": "arn:aws:kms:eu-central-1:222222222222:key/0a1b",
		"builder.instanceType": "m7i.2xlarge", "builder.volumeGib": "500", "builder.idleMinutes": "30", "builder.maxHours": "8", "builder.proxyCommand": "relay %h",
		"secrets.recoveryDays": "7", "notifications.teamEmails": `["team@example.com"]`, "logs.retentionDays": "365",
		"protect": "true", "tags": `{"team":"games"}`,
	}))
}

func TestUsersAreSortedWhateverTheFilesOrder(t *testing.T) {
	for range 20 {
		cfg := mustLoad(t, values{"users": `{"m":null,"z":{},"a":{},"b-2":{},"b-10":{}}`})
		require.Equal(t, []config.User{{Name: "a"}, {Name: "b-10"}, {Name: "b-2"}, {Name: "m"}, {Name: "z"}}, cfg.Users)
	}
}

func TestTheRangeOfPortsIsAsWideAsAHostsSessions(t *testing.T) {
	for want, changes := range map[contract.PortRange]values{
		{First: 8443, Last: 8443}: nil,
		{First: 9000, Last: 9003}: {"session.firstPort": "9000", "compute.instanceTypes": `["g5.xlarge","g5.12xlarge"]`}, // four GPUs
		{First: 8443, Last: 8444}: {"session.gpus": "2", "compute.instanceTypes": `["g5.12xlarge"]`},
		{First: 8443, Last: 8449}: {"session.perGpu": "7", "session.vcpus": "1", "session.memoryMib": "4000", "compute.instanceTypes": `["g5.2xlarge"]`},
	} {
		assert.Equal(t, want, mustLoad(t, changes).Ports())
	}
}

func TestASharedGPUIsReservedByNobody(t *testing.T) {
	owned, shared := mustLoad(t, values{"session.gpus": "1"}), mustLoad(t, values{"session.perGpu": "2"})
	assert.Equal(t, 1, owned.GPUs())
	assert.False(t, owned.SharedGPU())
	assert.Equal(t, 0, shared.GPUs())
	assert.True(t, shared.SharedGPU())
}

func TestSpotHostsAddToTheMostSessionsAtOnce(t *testing.T) {
	onDemand := values{"compute.instanceTypes": `["g5.xlarge"]`, "compute.maxVcpus": "9"}
	assert.Equal(t, 2, mustLoad(t, onDemand).MaxSessions())
	onDemand["compute.spot"], onDemand["compute.spotMaxVcpus"] = "true", "4"
	assert.Equal(t, 3, mustLoad(t, onDemand).MaxSessions())
}

func TestEachSizeAddsItsEnvironmentToTheMostSessionsAtOnce(t *testing.T) {
	sizes := values{"compute.instanceTypes": `["g5.xlarge","g6.xlarge","g5.12xlarge"]`, "compute.maxVcpus": "48"}
	assert.Equal(t, 12+4, mustLoad(t, sizes).MaxSessions(), "each environment has maxVcpus: 12 hosts of a session, one of four")
	sizes["compute.spot"], sizes["compute.spotMaxVcpus"] = "true", "48"
	assert.Equal(t, 12+4+12, mustLoad(t, sizes).MaxSessions(), "Spot hosts are of all types")
}

func TestTheCapacityFollowsFromTheConfiguration(t *testing.T) {
	first := func(changes values) contract.HostCapacity { return mustLoad(t, changes).Capacity()[0] }
	standard := first(nil)
	assert.Equal(t, []any{"g5.xlarge", 1, 16, 1.006, 0.}, []any{standard.InstanceType, standard.SessionsPerHost, standard.MaxSessions, standard.USDPerHour, standard.IdleUSDPerHour})
	assert.Equal(t, []string{"vCPUs", "memory", "GPUs"}, standard.Limits)
	shared := first(values{"session.perGpu": "4", "session.vcpus": "1", "session.memoryMib": "3500"})
	assert.Equal(t, []any{4, 0.2515}, []any{shared.SessionsPerHost, shared.USDPerSessionHour})
	own := first(values{"compute.prices": `{"g5.xlarge":0.7}`, "compute.minVcpus": "5", "compute.maxVcpus": "8"})
	assert.Equal(t, []any{0.7, 1.4, 2, "compute.prices"}, []any{own.USDPerHour, own.IdleUSDPerHour, own.MaxSessions, own.Price})
	assert.Equal(t, []string{"vCPUs", "memory", "GPUs", "ports"}, first(values{"session.firstPort": "32767"}).Limits)
}

// As make capacity and the summary of a preview read it: without the program.
func TestAConfigurationIsParsedWithoutItsStack(t *testing.T) {
	all := func(changes values) config.Values {
		named := but(changes)
		delete(named, "aws:region")
		delete(named, "aws:allowedAccountIds")
		return named
	}
	cfg, err := config.Parse(all(values{"image.game": "none", "compute.instanceTypes": `["g6.xlarge"]`}))
	require.NoError(t, err)
	assert.Equal(t, mustLoad(t, values{"compute.instanceTypes": `["g6.xlarge"]`}).Capacity(), cfg.Capacity())
	cfg, err = config.Parse(all(values{"session.vcpus": "5", "session.memoryMib": "lots", "compute.prices": `{"a":1}`}))
	assert.Equal(t, 0, cfg.Capacity()[0].SessionsPerHost)
	for _, fault := range []string{"has 2 faults", `session.memoryMib is "lots"`, "compute.prices.a is 1"} {
		assert.ErrorContains(t, err, fault)
	}
}

func TestEveryFieldIsAKeyWithTypeDocAndWhatIsAllowed(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range config.Keys() {
		assert.False(t, seen[k.Name], "%s twice", k.Name)
		seen[k.Name] = true
		assert.Contains(t, []string{"string", "integer", "boolean", "array", "object"}, k.Type, k.Name)
		assert.Regexp(t, `^\S.*\.$`, k.Doc, k.Name)
		assert.NotEmpty(t, k.Allowed, k.Name)
		assert.NotRegexp(t, `\.$`, k.Allowed, "%s: Pulumi.yaml adds the full stop", k.Name)
	}
	assert.Equal(t, len(seen), leaves(reflect.TypeFor[config.Config]())-len([]string{"Region", "AllowedAccountIDs", "MetadataEndpoint"}))
}

// leaves counts the fields that are no group.
func leaves(group reflect.Type) int {
	if group.Kind() != reflect.Struct {
		return 1
	}
	count := 0
	for i := range group.NumField() {
		count += leaves(group.Field(i).Type)
	}
	return count
}

func TestEveryDefaultIsAllowed(t *testing.T) {
	all := values{}
	for _, k := range config.Keys() {
		if !k.Required {
			all[k.Name] = k.Default
			assert.Equal(t, standard(t), *mustLoad(t, values{k.Name: k.Default}), k.Name)
		}
	}
	assert.Equal(t, standard(t), *mustLoad(t, all))
	for _, k := range config.Keys() {
		if k.Required {
			assert.Len(t, faultsOf(t, "dev", but(values{k.Name: k.Default})), 1, "%s: its default alone won't do", k.Name)
		}
	}
}

func TestWhatIsGeneratedIsUpToDate(t *testing.T) {
	root, err := stackfile.Root()
	require.NoError(t, err)
	for file, want := range map[string][]byte{"Pulumi.yaml": config.ProjectFile(), "docs/configuration.md": config.Reference()} {
		got, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "%s: run make generate", file)
	}
}

// The engine reads the whole of Pulumi.yaml before it runs the program, with the type
// of every key.
func TestTheEngineTakesPulumiYAML(t *testing.T) {
	project, err := stackfile.Project()
	require.NoError(t, err)
	assert.Equal(t, contract.Product, project.Name.String())
	assert.Equal(t, "infra", project.Main)
	assert.Len(t, project.Config, len(config.Keys()))
	for _, k := range config.Keys() {
		name := k.Name
		if strings.Contains(name, ".") {
			name = `["` + name + `"]` // one name, not a path
		}
		if declared, ok := project.Config[name]; assert.True(t, ok, name) {
			assert.Equal(t, k.Type, *declared.Type, name)
			assert.NotNil(t, declared.Default, "%s: the engine would ask for it before the program can tell what else is wrong", name)
		}
	}
}

func TestTheReferenceTellsEveryKeyAndType(t *testing.T) {
	reference := string(config.Reference())
	for _, k := range config.Keys() {
		assert.Contains(t, reference, "\n| `"+k.Name+"` | "+k.Type+" | ")
	}
	assert.Contains(t, reference, "\n| g5.xlarge | 4 | 15532 | 1 A10G | 22888 | $1.0060 |\n")
	assert.Contains(t, reference, "\n| `network.playerCidrs` | array | **required** | ")
	_, tables, _ := strings.Cut(reference, "\n## ")
	for _, line := range strings.Split(tables, "\n") {
		if strings.HasPrefix(line, "| `") {
			assert.Equal(t, 6, strings.Count(line, "|")-strings.Count(line, `\|`), line)
		}
	}
}

func TestTheEnvironmentsFilesAreFlawless(t *testing.T) {
	for stack, further := range map[string]map[string]string{
		"dev": nil, "prod": nil,
		"sandbox": {"aws:region": "us-east-1", "aws:allowedAccountIds": `["123456789012"]`}, // as the running sandbox adds
	} {
		all, err := stackfile.Complete(stack)
		require.NoError(t, err)
		maps.Copy(all, further)
		t.Run(stack, func(t *testing.T) {
			t.Setenv(pulumi.EnvConfig, text(t, all)) // so that unknown keys are found
			assert.Empty(t, faultsOf(t, stack, all))
		})
	}
}

func TestAnEnvironmentsFileNamesItsOneAccount(t *testing.T) {
	seen := map[string]string{}
	for _, stack := range []string{"dev", "prod"} {
		file, err := stackfile.Complete(stack)
		require.NoError(t, err)
		account := file["aws:allowedAccountIds"]
		assert.Regexp(t, `^\["\d{12}"\]$`, account, stack)
		assert.NotContains(t, seen, account, "%s: each in an account of its own", stack)
		seen[account] = stack
		for key := range file {
			assert.NotRegexp(t, "(?i)secret$|accessKey|token|password", key, "%s: credentials come from the environment", stack)
		}
	}
}

// Prod is where a mistake costs most.
func TestProdDiffersFromDevWhereProductionDoes(t *testing.T) {
	at := func(stack string) *config.Config {
		all, err := stackfile.Complete(stack)
		require.NoError(t, err)
		cfg, err := load(t, stack, all)
		require.NoError(t, err)
		return cfg
	}
	dev, prod := at("dev"), at("prod")
	assert.True(t, prod.Protect)
	assert.False(t, dev.Protect)
	assert.False(t, prod.Compute.Spot, "a reclaimed host ends its sessions")
	assert.Positive(t, prod.Compute.MinVCPUs, "no first player waits for a host")
	assert.Greater(t, prod.Compute.MaxVCPUs, dev.Compute.MaxVCPUs)
	assert.Greater(t, prod.Logs.RetentionDays, dev.Logs.RetentionDays)
	assert.Greater(t, prod.Secrets.RecoveryDays, dev.Secrets.RecoveryDays)
	assert.Equal(t, prod.AllowedAccountIDs, dev.Registry.PullAccounts, "prod takes what dev has tested")
	assert.False(t, prod.Network.OpenToWorld || dev.Network.OpenToWorld)
}

func TestEveryDisplayServerOfTheContractMayBeChosen(t *testing.T) {
	i := slices.IndexFunc(config.Keys(), func(k config.Key) bool { return k.Name == "image.displayServer" })
	assert.Equal(t, fmt.Sprintf("%s or %s", contract.DCV, contract.VNC), config.Keys()[i].Allowed)
	assert.Len(t, contract.DisplayServers, 2)
}
