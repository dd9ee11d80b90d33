package stack_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/compute"
	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/infra/config"
	"github.com/intraverse/dcv-sessions/infra/stack"
	"github.com/intraverse/dcv-sessions/internal/recorded"
	"github.com/intraverse/dcv-sessions/outputs"
)

var update = flag.Bool("update", false, "write the graphs of testdata")

func TestMain(m *testing.M) {
	end, err := recorded.Begin()
	if err != nil {
		panic(err)
	}
	defer end()
	m.Run()
}

const (
	definition = "aws:batch/jobDefinition:JobDefinition"
	ingress    = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
	image      = "docker:index/image:Image"
	digest     = "333333333333.dkr.ecr.us-east-1.amazonaws.com/game@sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
)

var environments = []string{"dev", "prod", "sandbox"}

type values map[string]string

// environment returns a stack's configuration as the engine passes it, with changes.
func environment(t *testing.T, name string, changes ...values) values {
	t.Helper()
	committed, err := recorded.Configuration(name)
	require.NoError(t, err)
	all := values(committed)
	for _, c := range changes {
		maps.Copy(all, qualified(c))
	}
	return all
}

// least returns the smallest configuration, with an image that exists.
func least(changes ...values) values {
	all := values{
		"aws:region": "us-east-1", "aws:allowedAccountIds": `["123456789012"]`,
		"dcv-sessions:network.playerCidrs": `["203.0.113.0/24"]`,
		"dcv-sessions:image.use":           digest,
	}
	for _, c := range changes {
		maps.Copy(all, qualified(c))
	}
	return all
}

// qualified returns values with the project before the keys that have no namespace.
func qualified(short values) values {
	long := values{}
	for key, value := range short {
		if !strings.Contains(key, ":") {
			key = contract.Product + ":" + key
		}
		long[key] = value
	}
	return long
}

// stackRun is a run with the stack's outputs; unknown outputs are left out.
type stackRun struct {
	*componenttest.Run
	names   []string // of the outputs
	outputs map[string]any
}

func deploy(t *testing.T, mode componenttest.Mode, name string, all values, options ...componenttest.Option) stackRun {
	t.Helper()
	var r stackRun
	r.Run = componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		if err := stack.Deploy(ctx); err != nil {
			return err
		}
		exported := ctx.GetCurrentExportMap()
		r.names = slices.Sorted(maps.Keys(exported))
		ctx.Export("all", pulumi.Map(exported).ToMapOutput().ApplyT(func(known map[string]any) int {
			r.outputs = known
			return len(known)
		}))
		return nil
	}, append(options, componenttest.WithStack(name), componenttest.WithConfig(all))...)
	return r
}

// asCommitted returns an environment's run without any change. It runs once for all
// tests, since a run compiles the session for its image.
func asCommitted(t *testing.T, name string, mode componenttest.Mode) stackRun {
	t.Helper()
	key := fmt.Sprint(name, mode)
	r, ran := committed[key]
	if !ran {
		r = deploy(t, mode, name, environment(t, name)).mustRun(t)
		committed[key] = r
	}
	return r
}

var committed = map[string]stackRun{}

// ofEach runs a test with each environment, as an update and as a preview.
func ofEach(t *testing.T, test func(t *testing.T, name string, mode componenttest.Mode)) {
	for _, name := range environments {
		t.Run(name, func(t *testing.T) {
			componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) { test(t, name, mode) })
		})
	}
}

// graph returns the lines of all resources, sorted.
func graph(r stackRun) string {
	var lines []string
	for _, res := range r.Resources {
		lines = append(lines, line(res)+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// line returns "type name parent" of a resource.
func line(res componenttest.Resource) string {
	return fmt.Sprintf("%s %s %s", res.Type, res.Name, cmp.Or(res.Parent, "(stack)"))
}

func TestEachEnvironmentsGraphIsAsReviewed(t *testing.T) {
	ofEach(t, func(t *testing.T, name string, mode componenttest.Mode) {
		got := graph(asCommitted(t, name, mode))
		path := filepath.Join("stack", "testdata", name+".golden")
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, string(want), got, "%s; after a review: go test ./infra/stack -update", path)
	})
}

func (r stackRun) mustRun(t *testing.T) stackRun {
	t.Helper()
	r.Must(t)
	return r
}

func isComponent(res componenttest.Resource) bool { return strings.HasPrefix(res.Type, "dcv:") }

func TestEverythingIsAPartOfAComponent(t *testing.T) {
	ofEach(t, func(t *testing.T, name string, mode componenttest.Mode) {
		r := asCommitted(t, name, mode)
		components := map[string]bool{}
		for _, res := range r.Resources {
			if isComponent(res) {
				components[res.Name] = true
				assert.Empty(t, res.Parent, "%s: components lie side by side", res.Name)
			}
		}
		for _, res := range r.Resources {
			if !isComponent(res) {
				assert.True(t, components[res.Parent], "%s %s lies under %q", res.Type, res.Name, res.Parent)
			}
		}
	})
}

func TestEveryTaggableResourceCarriesTheStacksTags(t *testing.T) {
	met := map[string]bool{}
	ofEach(t, func(t *testing.T, name string, mode componenttest.Mode) {
		r := deploy(t, mode, name, environment(t, name, values{"tags": `{"cost-centre":"games"}`, "image.use": digest})).mustRun(t)
		for _, res := range r.Resources {
			if !strings.HasPrefix(res.Type, "aws:") && !strings.HasPrefix(res.Type, "awsx:") {
				continue
			}
			if !recorded.Taggable(res.Type) {
				met[res.Type] = true
				assert.NotContains(t, res.Inputs, "tags", "%s can have tags after all", res.Type)
				continue
			}
			tags, ok := res.Inputs["tags"].(map[string]any)
			if assert.True(t, ok, "%s %s has no tags", res.Type, res.Name) {
				for tag, value := range map[string]string{contract.TagProject: contract.Product, contract.TagStack: name, "cost-centre": "games"} {
					assert.Equal(t, value, tags[tag], "%s %s", res.Type, res.Name)
				}
			}
		}
	})
	for _, token := range recorded.Untaggable() {
		assert.True(t, met[token], "%s is in no environment: take it off the list", token)
	}
}

// Costs are attributed down to the user.
func TestWhatBelongsToAUserCarriesTheUsersTag(t *testing.T) {
	for _, name := range environments {
		all := environment(t, name, values{"image.use": digest, "users": `{"someone":{"notify":"someone@example.com"}}`})
		own := 0
		for _, res := range deploy(t, componenttest.Update, name, all).mustRun(t).Resources {
			if !strings.Contains(res.Name, "someone") || !recorded.Taggable(res.Type) {
				continue
			}
			own++
			assert.Equal(t, "someone", res.Inputs["tags"].(map[string]any)[contract.TagUser], "%s %s", res.Type, res.Name)
		}
		assert.Equal(t, 4, own, "%s: job definition, two secrets, topic", name)
	}
}

// A launch template and an instance also tag the resources that EC2 makes from them.
func TestHostsAndVolumesCarryTheStacksTags(t *testing.T) {
	r := deploy(t, componenttest.Update, "dev", environment(t, "dev", values{"image.use": digest})).mustRun(t)
	templates := r.OfType("aws:ec2/launchTemplate:LaunchTemplate")
	assert.Len(t, templates, 2, "on demand and Spot")
	for _, template := range templates {
		for _, made := range template.Inputs["tagSpecifications"].([]any) {
			assert.Equal(t, "dev", made.(map[string]any)["tags"].(map[string]any)[contract.TagStack], template.Name)
		}
	}
	volume := r.One(t, "aws:ec2/instance:Instance").Inputs["volumeTags"].(map[string]any)
	assert.Equal(t, "dev", volume[contract.TagStack])
}

func TestProtectionHoldsWhatHoldsData(t *testing.T) {
	guarded := []string{"registry", "game-builds", "logs"}
	for name, protect := range map[string]bool{"dev": false, "prod": true, "sandbox": false} {
		componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
			r := deploy(t, mode, name, environment(t, name, values{"image.use": digest})).mustRun(t)
			count := 0
			for _, res := range r.Resources {
				holds := slices.Contains(guarded, res.Parent) || isComponent(res) && slices.Contains(guarded, res.Name)
				taken := name == "dev" && res.Type == "aws:ecr/repository:Repository" // prod's account pulls from it
				assert.Equal(t, protect && holds || taken, res.Protect, "%s: %s %s", name, res.Type, res.Name)
				if holds {
					count++
				}
			}
			assert.GreaterOrEqual(t, count, 2*len(guarded))
			assert.Equal(t, name == "sandbox", r.One(t, "aws:ecr/repository:Repository").Inputs["forceDelete"], name)
			assert.Equal(t, !protect, r.One(t, "aws:s3/bucketV2:BucketV2").Inputs["forceDestroy"], name)
		})
	}
}

// visit calls see for every value of an input; a secret is a componenttest.Secret.
func visit(path string, value any, see func(path string, value any)) {
	see(path, value)
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			visit(path+"."+key, inner, see)
		}
	case []any:
		for _, inner := range v {
			visit(path, inner, see)
		}
	}
}

func TestNoPasswordOrTokenIsInTheState(t *testing.T) {
	const secretKey = "the-provider's-secret-key"
	password := regexp.MustCompile(`(?i)password|token$|secretKey|secretString`)
	ofEach(t, func(t *testing.T, name string, mode componenttest.Mode) {
		changes := values{"aws:accessKey": "the-provider's-key", "aws:secretKey": secretKey}
		if name != "dev" { // one builds, others take an image
			changes["image.use"] = digest
		}
		r := deploy(t, mode, name, environment(t, name, changes)).mustRun(t)
		look := func(of string) func(string, any) {
			return func(path string, value any) {
				if property := path[strings.LastIndex(path, ".")+1:]; password.MatchString(property) && value != componenttest.Unknown {
					assert.IsType(t, componenttest.Secret{}, value, "%s%s", of, path)
				}
				for _, plain := range []string{"ecr-token", "QVdTOmVjci10b2tlbg==", secretKey, "the-provider's-key"} { // the mock's ECR token
					if text, ok := value.(string); ok {
						assert.NotContains(t, text, plain, "%s%s", of, path)
					}
				}
			}
		}
		for _, res := range r.Resources {
			visit("", res.Inputs, look(res.Type+" "+res.Name))
		}
		visit("", r.outputs, look("output "))
		if mode == componenttest.Update && name == "dev" {
			assert.Contains(t, fmt.Sprint(r.One(t, image).Inputs["registry"]), "ecr-token", "the token is there, but a secret")
		}
	})
}

// settingsOf returns the settings in a job definition's environment.
func settingsOf(t *testing.T, res componenttest.Resource) contract.Settings {
	t.Helper()
	var properties struct {
		Environment []struct{ Name, Value string }
	}
	res.JSON(t, "containerProperties", &properties)
	settings, err := contract.ParseSettings(func(name string) (string, bool) {
		for _, variable := range properties.Environment {
			if variable.Name == name {
				return variable.Value, true
			}
		}
		return "", false
	})
	require.NoError(t, err)
	return settings
}

// Each key of a setting changes the settings of the configuration, as its own tests
// show.
func TestJobDefinitionsCarryTheSettingsOfTheConfiguration(t *testing.T) {
	for _, name := range environments {
		all := environment(t, name, users(1), values{"image.use": digest})
		r := deploy(t, componenttest.Update, name, all).mustRun(t)
		var cfg *config.Config
		componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) (err error) {
			cfg, err = config.Load(ctx)
			return err
		}, componenttest.WithStack(name), componenttest.WithConfig(all)).Must(t)
		require.NotEmpty(t, r.OfType(definition), name)
		for _, made := range r.OfType(definition) {
			got, want := settingsOf(t, made), cfg.Settings(name)
			assert.NotEmpty(t, got.User)
			assert.NotEmpty(t, got.Image)
			want.User, want.Image, want.BatchEndpoint, want.TopicsEndpoint = got.User, got.Image, got.BatchEndpoint, got.TopicsEndpoint
			assert.Equal(t, want, got, name)
		}
	}
}

func TestSessionsTakeThePortsThatAreOpenAndTold(t *testing.T) {
	for name, test := range map[string]struct {
		change values
		want   contract.PortRange
	}{
		"dev":     {values{}, contract.PortRange{First: 8443, Last: 8443}},
		"prod":    {values{"compute.instanceTypes": `["g5.xlarge","g5.12xlarge"]`}, contract.PortRange{First: 8443, Last: 8446}},
		"sandbox": {values{}, contract.PortRange{First: 8443, Last: 8443}},
	} {
		want, change := test.want, test.change
		change["image.use"] = digest
		r := deploy(t, componenttest.Update, name, environment(t, name, change)).mustRun(t)
		assert.NotEmpty(t, r.OfType(definition))
		for _, made := range r.OfType(definition) {
			assert.Equal(t, want, settingsOf(t, made).Ports, "%s %s", name, made.Name)
		}
		rules := r.OfType(ingress)
		assert.Len(t, rules, 2, "%s: TCP and UDP of one network", name)
		for _, rule := range rules {
			assert.Equal(t, float64(want.First), rule.Inputs["fromPort"], rule.Name)
			assert.Equal(t, float64(want.Last), rule.Inputs["toPort"], rule.Name)
		}
		assert.Equal(t, want, parsed(t, r).Ports, name)
	}
}

// parsed reads the outputs as a consumer does.
func parsed(t *testing.T, r stackRun) outputs.Outputs {
	t.Helper()
	text, err := json.Marshal(r.outputs)
	require.NoError(t, err)
	o, err := outputs.Parse(text)
	require.NoError(t, err)
	return o
}

func TestTheOutputsAreComplete(t *testing.T) {
	promised := slices.Sorted(maps.Keys(outputs.NewSchema().Properties))
	ofEach(t, func(t *testing.T, name string, mode componenttest.Mode) {
		r := asCommitted(t, name, mode)
		assert.Equal(t, promised, r.names)
		if mode == componenttest.Preview {
			return // the values are not known yet
		}
		o := parsed(t, r)
		for i, value := 0, reflect.ValueOf(o); i < value.NumField(); i++ {
			assert.False(t, value.Field(i).IsZero(), value.Type().Field(i).Name)
		}
		users := usersOf(t, environment(t, name))
		for user, notify := range users {
			assert.Equal(t, contract.JobDefinition(name, user), o.JobDefinitions[user])
			assert.Contains(t, o.CredentialsARNs[user], contract.PathPrefix(name)+"users/"+user+"/credentials-")
			assert.Equal(t, notify != "", o.TopicARNs[user] != "", user)
		}
		assert.Len(t, o.JobDefinitions, len(users))
		assert.Regexp(t, `^`+regexp.QuoteMeta(o.RepositoryURL)+`@sha256:[0-9a-f]{64}$`, o.ImageURI)
		assert.Contains(t, o.LogGroup, contract.LogGroupPrefix(name))
		assert.Contains(t, o.SubmitCommand, o.QueueName)
	})
}

// usersOf returns a configuration's users with their addresses.
func usersOf(t *testing.T, all values) map[string]string {
	t.Helper()
	var users map[string]struct{ Notify string }
	require.NoError(t, json.Unmarshal([]byte(all["dcv-sessions:users"]), &users))
	addresses := map[string]string{}
	for name, user := range users {
		addresses[name] = user.Notify
	}
	return addresses
}

func TestAStackWithoutUsersIsWhole(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := deploy(t, mode, "dev", least()).mustRun(t)
		assert.Empty(t, r.OfType(definition))
		assert.NotEmpty(t, r.OfType("aws:batch/jobQueue:JobQueue"))
		if mode == componenttest.Update {
			assert.Empty(t, parsed(t, r).JobDefinitions)
		}
	})
}

func users(count int) values {
	all := map[string]map[string]string{}
	for i := range count {
		name := fmt.Sprintf("player%d", i)
		all[name] = map[string]string{"notify": name + "@example.com"}
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // strings
	}
	return values{"users": string(text)}
}

func TestMoreUsersTakeNoMoreCallsAndNoLargerPolicies(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		few := deploy(t, mode, "dev", least(users(3))).mustRun(t)
		many := deploy(t, mode, "dev", least(users(50))).mustRun(t)
		assert.Equal(t, slices.Sorted(slices.Values(few.Calls)), slices.Sorted(slices.Values(many.Calls)))
		perUser := map[string]int{}
		for _, res := range many.Resources {
			perUser[res.Type]++
		}
		for _, res := range few.Resources {
			perUser[res.Type]--
			if strings.HasPrefix(res.Type, "aws:iam/") {
				assert.Equal(t, res.Inputs, many.Named(t, res.Type, res.Name).Inputs)
			}
		}
		maps.DeleteFunc(perUser, func(_ string, more int) bool { return more == 0 })
		assert.Equal(t, map[string]int{
			definition:                         47,
			"aws:secretsmanager/secret:Secret": 2 * 47, // credentials and notification
			"aws:secretsmanager/secretVersion:SecretVersion": 47,
			"aws:sns/topic:Topic":                            47,
			"aws:sns/topicPolicy:TopicPolicy":                47,
			"aws:sns/topicSubscription:TopicSubscription":    47,
		}, perUser)
	})
}

func TestAWrongConfigurationDeclaresAndAsksNothing(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := deploy(t, mode, "dev", environment(t, "dev", values{
			"session.vcpus": "5", "network.zones": "9", "users": `{"root":{}}`, "compute.instanceTypes": `["g5.xlarge"]`,
		}))
		require.Error(t, r.Err)
		for _, part := range []string{"the stack's configuration has 3 faults", "network.zones", "users.root", "session.vcpus"} {
			assert.ErrorContains(t, r.Err, part)
		}
		assert.Empty(t, r.Resources)
		assert.Empty(t, r.Calls)
		assert.Empty(t, r.names)
	})
}

// A component checks its arguments when others are declared already, so the
// configuration must refuse every value that a component would refuse.
func TestNoComponentRefusesWhatTheConfigurationTook(t *testing.T) {
	tags := map[string]string{}
	for i := range 40 {
		tags[fmt.Sprintf("%0128d", i)] = strings.Repeat("x", 256)
	}
	long, err := json.Marshal(tags)
	require.NoError(t, err)
	edges := []values{
		{"tags": string(long)},
		{"users": `{"` + strings.Repeat("a", 31) + `":{}}`},
		{"session.maxMinutes": "1", "session.firstConnectMinutes": "1", "session.stopSeconds": "12", "session.attempts": "10"},
		{"session.graceSeconds": "10", "session.idleMinutes": "0"},
		{"session.graceSeconds": "7200", "session.idleMinutes": "1440", "session.maxMinutes": "1"},
		{"session.usageSeconds": "0"}, {"session.usageSeconds": "5"}, {"session.usageSeconds": "3600"},
		{"session.certificateSecretArn": certificate},
		{"image.displayServer": "vnc", "image.dcvSource": ""},
		{"session.memoryMib": "128", "session.sharedMemoryMib": "64", "session.vcpus": "1"},
		{"session.memoryMib": "128", "session.sharedMemoryMib": "127"},
		{"session.sharedMemoryMib": "13999"},
		{"compute.minVcpus": "64"},
		{"compute.maxVcpus": "4", "compute.spot": "true", "compute.spotMaxVcpus": "4"},
		{"compute.rootGib": "16384", "builder.volumeGib": "16384"},
		{"queue.maxWaitMinutes": "1440"},
		{"secrets.recoveryDays": "0"}, {"secrets.recoveryDays": "6"}, {"secrets.recoveryDays": "7"},
		{"registry.keep": "1000"},
		{"notifications.teamEmails": `["a@example.com","a@example.com"]`},
		{"network.cidrBlock": "10.0.0.0/24", "network.zones": "6"},
		{"network.playerCidrs": `["0.0.0.0/0","::/0"]`, "network.openToWorld": "true"},
	}
	for _, port := range []string{"1025", "2374", "2375", "2376", "2377", "32767", "32768", "51679", "65535"} {
		edges = append(edges, values{"session.firstPort": port})
	}
	for _, machine := range []string{"c6i.xlarge", "c6g.xlarge", "c7gn.xlarge", "a1.large", "mac2.metal", "mac2-m2.metal", "t4g.small", "g5.xlarge", "m7i-flex.large", "u-6tb1.metal"} {
		edges = append(edges, values{"builder.instanceType": machine})
	}
	for name := range capacity.InstanceTypes {
		edges = append(edges, values{"compute.instanceTypes": `["` + name + `"]`, "compute.maxVcpus": "192"})
	}
	took := 0
	for _, changes := range edges {
		r := deploy(t, componenttest.Preview, "dev", least(changes))
		if r.Err == nil {
			took++
			continue
		}
		assert.ErrorContains(t, r.Err, "the stack's configuration", "%v", changes)
		assert.Empty(t, r.Resources, "%v", changes)
	}
	assert.Greater(t, took, len(edges)/2)
}

const certificate = "arn:aws:secretsmanager:us-east-1:123456789012:secret:play-AbCdEf"

var repository = values{"delivery.repository": "studio/game"}

type effect struct{ beside, change values }

// effects has a change of every key that must show in the resources or outputs. Those
// of sessions' settings show in the job definitions' environment.
var effects = map[string]effect{
	"network.vpcId":                {nil, values{"network.vpcId": "vpc-1", "network.subnetIds": `["subnet-1"]`}},
	"network.subnetIds":            {values{"network.vpcId": "vpc-1", "network.subnetIds": `["subnet-1"]`}, values{"network.subnetIds": `["subnet-1","subnet-2"]`}},
	"network.cidrBlock":            {nil, values{"network.cidrBlock": "10.30.0.0/16"}},
	"network.zones":                {nil, values{"network.zones": "3"}},
	"network.playerCidrs":          {nil, values{"network.playerCidrs": `["198.51.100.0/24"]`}},
	"registry.keep":                {nil, values{"registry.keep": "50"}},
	"registry.keepReleased":        {nil, values{"registry.keepReleased": "50"}},
	"registry.pullAccounts":        {nil, values{"registry.pullAccounts": `["222222222222"]`}},
	"users":                        {nil, values{"users": `{"alice":{}}`}},
	"compute.instanceTypes":        {nil, values{"compute.instanceTypes": `["g6.xlarge"]`}},
	"compute.minVcpus":             {nil, values{"compute.minVcpus": "4"}},
	"compute.maxVcpus":             {nil, values{"compute.maxVcpus": "32"}},
	"compute.spot":                 {nil, values{"compute.spot": "true"}},
	"compute.spotMaxVcpus":         {values{"compute.spot": "true"}, values{"compute.spotMaxVcpus": "32"}},
	"compute.image":                {nil, values{"compute.image": "ami-0a1b2c3d"}},
	"compute.rootGib":              {nil, values{"compute.rootGib": "200"}},
	"compute.supportAccess":        {nil, values{"compute.supportAccess": "true"}},
	"compute.prices":               {nil, values{"compute.prices": `{"g5.xlarge":0.7}`}},
	"compute.updateTimeoutMinutes": {nil, values{"compute.updateTimeoutMinutes": "360"}},
	"queue.maxWaitMinutes":         {nil, values{"queue.maxWaitMinutes": "60"}},
	"session.vcpus":                {users(1), values{"session.vcpus": "4"}},
	"session.memoryMib":            {users(1), values{"session.memoryMib": "12000"}},
	"session.gpus":                 {values{"compute.instanceTypes": `["g5.12xlarge"]`, "users": users(1)["users"]}, values{"session.gpus": "2"}},
	"session.perGpu":               {nil, values{"session.perGpu": "2"}},
	"session.sharedMemoryMib":      {users(1), values{"session.sharedMemoryMib": "2048"}},
	"session.firstPort":            {nil, values{"session.firstPort": "9443"}},
	"session.formerPorts":          {nil, values{"session.formerPorts": `["9443-9446"]`}},
	"session.stopSeconds":          {nil, values{"session.stopSeconds": "60"}},
	"session.attempts":             {users(1), values{"session.attempts": "3"}},
	"session.privileged":           {users(1), values{"session.privileged": "true"}},
	"session.certificateSecretArn": {users(1), values{"session.certificateSecretArn": certificate}},
	"image.use":                    {nil, values{"image.use": "another"}},
	"image.buildOn":                {values{"image.use": ""}, values{"image.buildOn": "local"}},
	"image.base":                   {values{"image.use": ""}, values{"image.base": "ubuntu:26.04"}},
	"image.displayServer":          {values{"image.use": ""}, values{"image.displayServer": "vnc"}},
	"image.gameMaxGib":             {values{"image.use": ""}, values{"image.gameMaxGib": "60"}},
	"image.dcvSource":              {values{"image.use": ""}, values{"image.dcvSource": "https://example.com"}},
	"image.version":                {values{"image.use": ""}, values{"image.version": "1.2"}},
	"image.revision":               {values{"image.use": ""}, values{"image.revision": "0a1b2c3"}},
	"image.gameBuild.key":          {values{"image.use": ""}, values{"image.gameBuild.key": "builds/game.tgz"}},
	"image.gameBuild.version":      {values{"image.use": "", "image.gameBuild.key": "builds/game.tgz"}, values{"image.gameBuild.version": "v3"}},
	"delivery.prefix":              {nil, values{"delivery.prefix": "games/"}},
	"delivery.repository":          {nil, values{"delivery.repository": "studio/game"}},
	"delivery.workflow":            {repository, values{"delivery.workflow": "play.yml"}},
	"delivery.ref":                 {repository, values{"delivery.ref": "next"}},
	"delivery.api":                 {repository, values{"delivery.api": "https://git.example.com/api/v3"}},
	"delivery.oidcSubjects":        {repository, values{"delivery.oidcSubjects": `["repo:studio@1/game@2"]`}},
	"delivery.createOidcProvider":  {repository, values{"delivery.createOidcProvider": "true"}},
	"delivery.stateBucket":         {repository, values{"delivery.stateBucket": "studio-state"}},
	"delivery.stateKeyArn":         {repository, values{"delivery.stateKeyArn": "arn:aws:kms:us-east-1:123456789012:key/0a1b"}},
	"builder.instanceType":         {nil, values{"builder.instanceType": "m7i.large"}},
	"builder.volumeGib":            {nil, values{"builder.volumeGib": "500"}},
	"builder.proxyCommand":         {values{"image.use": ""}, values{"builder.proxyCommand": "relay %h"}},
	"secrets.recoveryDays":         {users(1), values{"secrets.recoveryDays": "7"}},
	"notifications.teamEmails":     {nil, values{"notifications.teamEmails": `["team@example.com"]`}},
	"logs.retentionDays":           {nil, values{"logs.retentionDays": "7"}},
	"alarms.waitMinutes":           {nil, values{"alarms.waitMinutes": "5"}},
	"alarms.framesPerSecond":       {nil, values{"alarms.framesPerSecond": "0"}},
	"budget.monthlyUsd":            {nil, values{"budget.monthlyUsd": "100"}},
	"protect":                      {nil, values{"protect": "true"}},
	"tags":                         {nil, values{"tags": `{"team":"games"}`}},
}

// changed returns a copy of a folder in which one file is longer.
func changed(t *testing.T, folder, file string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("..", folder))))
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("# longer\n")
	require.NoError(t, errors.Join(err, f.Close()))
	return dir
}

func TestNoKeyIsWithoutEffect(t *testing.T) {
	effects := maps.Clone(effects)
	for key, change := range map[string]values{
		"image.game":     {"image.game": changed(t, "image/games/intraverse", "game.yaml")},
		"image.branding": {"image.branding": changed(t, "image/branding", "branding.yaml")},
	} {
		effects[key] = effect{values{"image.use": ""}, change}
	}
	without := map[string]string{
		"network.openToWorld": "only allows", "compute.updateEndsSessions": "only allows",
		"builder.idleMinutes": "is passed to the machine by a hook", "builder.maxHours": "the same",
	}
	for _, k := range config.Keys() {
		effect, tested := effects[k.Name]
		if _, ok := without[k.Name]; ok || !tested && k.Setting() != "" || !assert.True(t, tested, k.Name) {
			continue
		}
		before := deploy(t, componenttest.Update, "dev", least(effect.beside)).mustRun(t)
		after := deploy(t, componenttest.Update, "dev", least(effect.beside, effect.change)).mustRun(t)
		assert.False(t, reflect.DeepEqual(before.Resources, after.Resources) && reflect.DeepEqual(before.outputs, after.outputs), k.Name)
	}
}

// The order of Go's maps must not matter: an `up` without changes would show changes.
func TestTheSameConfigurationDeclaresTheSame(t *testing.T) {
	for _, name := range environments {
		all := environment(t, name, values{"image.use": digest, "tags": `{"a":"1","b":"2","c":"3"}`})
		first := deploy(t, componenttest.Update, name, all).mustRun(t)
		for range 5 {
			again := deploy(t, componenttest.Update, name, all).mustRun(t)
			require.Equal(t, first.Resources, again.Resources, name)
			require.Equal(t, first.outputs, again.outputs, name)
		}
	}
}

// The provider gives up on an update of the hosts after 20 minutes, and sessions
// may last for hours.
func TestAnUpdateOfTheHostsIsWaitedFor(t *testing.T) {
	for _, name := range environments {
		r := deploy(t, componenttest.Update, name, environment(t, name, values{"image.use": digest})).mustRun(t)
		for _, made := range r.OfType("aws:batch/computeEnvironment:ComputeEnvironment") {
			assert.Equal(t, []string{"hosts-updating"}, made.Hooks, "%s %s", name, made.Name)
			policy := made.Inputs["updatePolicy"].(map[string]any)
			assert.Equal(t, 300., policy["jobExecutionTimeoutMinutes"], "%s %s", name, made.Name)
		}
	}
}

// A session that reserves no GPU gets one only from a host that is prepared to
// share it.
func TestASharedGPUIsSharedOnBothSides(t *testing.T) {
	for perGPU, shared := range map[string]bool{"1": false, "2": true} {
		r := deploy(t, componenttest.Update, "dev", least(users(1), values{"session.perGpu": perGPU})).mustRun(t)
		text, err := base64.StdEncoding.DecodeString(r.One(t, "aws:ec2/launchTemplate:LaunchTemplate").Inputs["userData"].(string))
		require.NoError(t, err)
		assert.Equal(t, compute.Host{StopSeconds: 30, SharedGPU: shared, LastPort: 8443}.UserData(), string(text))
		reserves := strings.Contains(r.One(t, definition).Inputs["containerProperties"].(string), `{"type":"GPU","value":"1"}`)
		assert.Equal(t, shared, !reserves)
	}
}

// A session keeps the range that it was submitted with, and may run on a host that
// started after the range has changed.
func TestTheHostsKeepThePortsOfSessionsForRoot(t *testing.T) {
	for name, test := range map[string]struct {
		set   values
		first string // that others than root may listen on
	}{
		"a range":                      {values{}, "12288"},
		"a range elsewhere":            {values{"session.firstPort": "9443"}, "12288"},
		"the last range":               {values{"session.firstPort": "32767"}, "32768"},
		"a former range above":         {values{"session.formerPorts": `["20000-20003"]`}, "20480"},
		"a former range below":         {values{"session.formerPorts": `["2000-2003"]`}, "12288"},
		"one that hosts can't protect": {values{"session.formerPorts": `["40000-40003"]`}, "12288"},
	} {
		r := deploy(t, componenttest.Update, "dev", least(users(1), test.set)).mustRun(t)
		text, err := base64.StdEncoding.DecodeString(r.One(t, "aws:ec2/launchTemplate:LaunchTemplate").Inputs["userData"].(string))
		require.NoError(t, err)
		assert.Contains(t, string(text), "sysctl -w net.ipv4.ip_unprivileged_port_start="+test.first+"\n", name)
	}
}

func TestAnImageThatIsTakenIsNotBuilt(t *testing.T) {
	r := deploy(t, componenttest.Update, "prod", environment(t, "prod", values{"image.use": digest})).mustRun(t)
	assert.Empty(t, r.OfType(image))
	assert.Empty(t, r.OfType("pulumi:providers:docker"))
	assert.NotContains(t, r.Calls, "aws:ecr/getAuthorizationToken:getAuthorizationToken")
	assert.Contains(t, parsed(t, r).ImageURI, "333333333333.dkr.ecr.", "dev's, by its digest")
}

// The build goes from the stack's own bucket to the stack's own builder.
func TestAGameBuildIsReadFromTheStacksBucket(t *testing.T) {
	build := values{"image.use": "", "image.gameBuild.key": "builds/game.tgz", "image.game": "none"}
	args := func(changes values) map[string]any {
		r := deploy(t, componenttest.Update, "dev", least(build, changes)).mustRun(t)
		assert.Contains(t, r.outputs["gameBuildsBucket"], "game-builds-")
		args := r.One(t, image).Inputs["build"].(map[string]any)["args"].(map[string]any)
		assert.Equal(t, r.outputs["gameBuildsBucket"], args["GAME_BUCKET"])
		assert.Equal(t, "us-east-1", args["AWS_REGION"])
		return args
	}
	assert.NotContains(t, args(nil), "AWS_ENDPOINT_URL", "AWS's own")
	given := args(values{"aws:endpoints": `[{"sts":"http://127.0.0.1:3"},{"s3":"http://127.0.0.1:1"}]`, "aws:ec2MetadataServiceEndpoint": "http://127.0.0.1:2"})
	assert.Equal(t, "http://127.0.0.1:1", given["AWS_ENDPOINT_URL"])
	assert.Equal(t, "http://127.0.0.1:2", given["AWS_EC2_METADATA_SERVICE_ENDPOINT"])
}

// A job's submitter can't change the AWS that a session calls: it is the stack's.
func TestASessionCallsTheStacksAWS(t *testing.T) {
	variables := func(changes values) string {
		r := deploy(t, componenttest.Update, "dev", least(values{"users": `{"player1":{}}`}, changes)).mustRun(t)
		return r.One(t, "aws:batch/jobDefinition:JobDefinition").Inputs["containerProperties"].(string)
	}
	assert.NotContains(t, variables(nil), "AWS_ENDPOINT_URL", "AWS's own")
	noJobs := fakeBatch(nil)
	defer noJobs.Close()
	given := variables(values{"aws:endpoints": fmt.Sprintf(`[{"sts":"http://127.0.0.1:3","batch":%q,"sns":"http://127.0.0.1:2"}]`, noJobs.URL)})
	assert.Contains(t, given, fmt.Sprintf(`{"name":"AWS_ENDPOINT_URL_BATCH","value":%q}`, noJobs.URL))
	assert.Contains(t, given, `{"name":"AWS_ENDPOINT_URL_SNS","value":"http://127.0.0.1:2"}`)
}

func TestAFaultInAComponentEndsTheRun(t *testing.T) {
	for token, component := range map[string]string{
		"aws:ssm/getParameter:getParameter":             "denied",
		"aws:index/getCallerIdentity:getCallerIdentity": "denied",
		"aws:ecr/getImage:getImage":                     "image.use",
	} {
		denied := componenttest.WithCall(token, func(map[string]any) (map[string]any, error) { return nil, errors.New("denied") })
		r := deploy(t, componenttest.Preview, "dev", least(), denied)
		assert.ErrorContains(t, r.Err, component, token)
		assert.Empty(t, r.names, "nothing is exported by half")
	}
}

// Every difference between environments is configuration.
func TestTheProgramDoesNotKnowTheSandbox(t *testing.T) {
	files := 0
	for _, dir := range []string{".", filepath.Join("..", "components")} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			var s scanner.Scanner // without its flag it leaves comments out
			s.Init(token.NewFileSet().AddFile(path, -1, len(text)), text, nil, 0)
			for {
				_, kind, literal := s.Scan()
				if kind == token.EOF {
					return nil
				}
				assert.NotContains(t, strings.ToLower(literal), "sandbox", path)
			}
		}))
	}
	assert.Greater(t, files, 20)
}

// The tests add the same keys to the configuration as the sandbox does.
func TestTheSandboxAddsTheseKeys(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "sandbox", "local", "config.go"))
	require.NoError(t, err)
	var adds []string
	for _, match := range regexp.MustCompile(`"((?:aws|dcv-sessions):[\w.]+)":`).FindAllStringSubmatch(string(text), -1) {
		adds = append(adds, match[1])
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(recorded.SandboxAdds)), adds)
}
