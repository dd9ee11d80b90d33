// Package config parses a stack's configuration into one typed struct, and validates it
// as a whole.
//
// Each key is written once, in the struct's tags. Pulumi.yaml with its typed block and
// docs/configuration.md are generated from them.
package config

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/components/session"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// Config is a stack's configuration. Tags of a field: key; default (JSON, or text as it
// is); required ("true": the default is not enough); doc. The values that a key allows
// are those of the component that takes it (components in rules.go), or of the setting
// that it sets: setting is the field of contract.Settings with default, range and
// values, and unit is seconds or minutes if that is a duration. A key of neither has
// allowed (in words), unless it is a boolean.
type Config struct {
	Region            string   // aws:region
	AllowedAccountIDs []string // aws:allowedAccountIds
	MetadataEndpoint  string   // aws:ec2MetadataServiceEndpoint

	Network struct {
		VPCID       string   `key:"network.vpcId" default:"" doc:"An existing VPC for the session hosts. Without it a new VPC is made."`
		SubnetIDs   []string `key:"network.subnetIds" default:"[]" doc:"The existing VPC's public subnets for the hosts, ones that give hosts a public address: players connect to the host itself."`
		CIDRBlock   string   `key:"network.cidrBlock" default:"10.20.0.0/16" doc:"The addresses of a new VPC."`
		Zones       int      `key:"network.zones" default:"2" doc:"How many availability zones a new VPC spans."`
		PlayerCIDRs []string `key:"network.playerCidrs" default:"[]" required:"true" doc:"The networks that players come from; only these reach the session ports."`
		OpenToWorld bool     `key:"network.openToWorld" default:"false" doc:"Has to be true for 0.0.0.0/0 or ::/0 in network.playerCidrs."`
	}
	Registry struct {
		Keep         int      `key:"registry.keep" default:"100" doc:"How many images the repository keeps; older ones that were never released expire. Released ones count too."`
		KeepReleased int      `key:"registry.keepReleased" default:"1000" doc:"How many released images the repository keeps: those that a deployment by the workflows, or make keep-image, has tagged released-… (docs/delivery.md). Amazon ECR does not know which images are in use, so stay well above how far anybody would go back, prod included."`
		PullAccounts []string `key:"registry.pullAccounts" default:"[]" doc:"Further AWS accounts that may pull images, such as that of prod if dev builds. As long as there are any, the repository is not deleted, whatever protect says."`
	}
	Users   []User `key:"users" default:"{}" allowed:"name → {notify: e-mail address}, notify being optional; a name matches ^[a-z][a-z0-9-]{0,30}$ and is no account of the session image" doc:"The players. A user with an address gets an e-mail when a session is ready."`
	Compute struct {
		InstanceTypes        []string           `key:"compute.instanceTypes" default:"[\"g5.xlarge\"]" doc:"GPU instance types of the session hosts, in the order of preference: sizes are tried in the order in which they are first mentioned, each in a compute environment of its own, and of the types of one size AWS Batch takes the one with the lowest price. A job queue takes three environments, so there may be three sizes, or two with compute.spot."`
		MinVCPUs             int                `key:"compute.minVcpus" default:"0" doc:"vCPUs of hosts held ready, and paid, at all times, of the first size of compute.instanceTypes. With 0 the stack scales from nothing, and a first player waits for a host."`
		MaxVCPUs             int                `key:"compute.maxVcpus" default:"64" doc:"The most vCPUs of on-demand hosts of one size at once; AWS Batch may pass it by one instance. It bounds each size's environment, so types of N sizes may reach N times as much in all. The account's quota Running On-Demand G and VT instances bounds the sum."`
		Spot                 bool               `key:"compute.spot" default:"false" doc:"Adds Spot hosts as last choice. They are cheaper, but a reclaimed host ends its sessions. They have a quota of their own, All G and VT Spot Instance Requests, which is near zero in new accounts."`
		SpotMaxVCPUs         int                `key:"compute.spotMaxVcpus" default:"64" doc:"The most vCPUs of Spot hosts at once. The account's quota All G and VT Spot Instance Requests bounds it too."`
		Image                string             `key:"compute.image" default:"latest" doc:"The hosts' machine image. With latest each deployment takes the newest one that AWS recommends for GPU hosts of ECS on Amazon Linux 2023, which a preview shows by its id: so hosts get security updates, and a newer one is a change of the hosts (docs/operations.md). A release of a game build keeps the image that is deployed."`
		RootGiB              int                `key:"compute.rootGib" default:"100" doc:"A host's encrypted root volume, GiB: two to three times the image."`
		SupportAccess        bool               `key:"compute.supportAccess" default:"false" doc:"Lets AWS Systems Manager's Session Manager reach the hosts: whoever may start its sessions is root on them. Without it nobody can log in to a host."`
		UpdateTimeoutMinutes int                `key:"compute.updateTimeoutMinutes" default:"300" doc:"How long a change of the hosts waits for the sessions on the old ones, minutes. Then AWS Batch terminates those that still run, so a session may last no longer (session.maxMinutes). The workflows of .github are made for up to 300."`
		UpdateEndsSessions   bool               `key:"compute.updateEndsSessions" default:"false" doc:"Accepts that a change of the hosts terminates sessions that last longer than compute.updateTimeoutMinutes, and so a session.maxMinutes above it."`
		Prices               map[string]float64 `key:"compute.prices" default:"{}" allowed:"instance type → US dollars an hour, above 0, for types of docs/configuration.md's table" doc:"Prices of hosts in place of the table's, which are list prices of us-east-1: those of another Region, or of a Savings Plan. Only what is printed about costs follows from them."`
	}
	Queue struct {
		MaxWaitMinutes int `key:"queue.maxWaitMinutes" default:"30" doc:"A session that can't be placed is cancelled after so long at the queue's head, minutes, so that it doesn't block those behind it."`
	}
	Session struct {
		VCPUs                int      `key:"session.vcpus" default:"3" doc:"vCPUs reserved for a session."`
		MemoryMiB            int      `key:"session.memoryMib" default:"14000" doc:"Memory of a session, MiB; exceeding it ends the session. A host has somewhat less than its type is sold with: see the table below."`
		GPUs                 int      `key:"session.gpus" default:"1" doc:"Whole GPUs reserved for a session, unless session.perGpu shares one."`
		PerGPU               int      `key:"session.perGpu" default:"1" doc:"The most sessions that share a GPU. Above 1 no GPU is reserved: AWS Batch packs sessions by vCPUs and memory, and nothing parts them on the GPU."`
		SharedMemoryMiB      int      `key:"session.sharedMemoryMib" default:"1024" doc:"Size of /dev/shm, MiB, a part of the session's memory."`
		FirstPort            int      `key:"session.firstPort" setting:"Ports" doc:"First port of the DCV range, TCP and UDP, below the ports that Linux gives to outgoing connections. The range is as wide as the most sessions that one host carries."`
		FormerPorts          []string `key:"session.formerPorts" default:"[]" doc:"Ranges that go on being admitted after the present one has changed, as long as sessions use them (docs/operations.md, \"Changing ports\")."`
		StopSeconds          int      `key:"session.stopSeconds" setting:"Stop" unit:"seconds" doc:"Seconds between the request to end and the kill: the time for the game to save, and 10 for closing the session. A Spot reclaim leaves two minutes in all."`
		FirstConnectMinutes  int      `key:"session.firstConnectMinutes" setting:"FirstConnect" unit:"minutes" doc:"A session that nobody has come to by then ends, minutes."`
		GraceSeconds         int      `key:"session.graceSeconds" setting:"Grace" unit:"seconds" doc:"How long a session waits for its player to come back, seconds. The game is then as the player left it."`
		IdleMinutes          int      `key:"session.idleMinutes" setting:"Idle" unit:"minutes" doc:"How long a session goes on while its player touches neither keyboard nor mouse, minutes; 0: for ever."`
		MaxMinutes           int      `key:"session.maxMinutes" setting:"Max" unit:"minutes" doc:"The longest session, minutes; at most compute.updateTimeoutMinutes, unless compute.updateEndsSessions is true."`
		UsageSeconds         int      `key:"session.usageSeconds" setting:"Usage" unit:"seconds" doc:"How often a session logs what it uses and what its player sees (docs/session.md, \"Usage\"), seconds: at least 5; 0: never. At 30 it is 2 MB of log a day."`
		Attempts             int      `key:"session.attempts" default:"2" doc:"How often a session is started in all if its host fails. Nothing else is tried again."`
		Privileged           bool     `key:"session.privileged" default:"false" doc:"Runs sessions as privileged containers, with the host's devices. Only if your DCV set-up needs it."`
		NativeClients        bool     `key:"session.nativeClients" setting:"NativeClients" doc:"Lets players use DCV's native clients too, by a file that they download once they have signed in."`
		DisplayMode          string   `key:"session.display" setting:"DisplayMode" doc:"How DCV shows the game: the X server's own screen, on the GPU, or one that DCV makes."`
		SoftwareRendering    bool     `key:"session.softwareRendering" setting:"SoftwareRendering" doc:"Allows the game to run without the GPU, slowly. Otherwise such a session ends."`
		CertificateSecretARN string   `key:"session.certificateSecretArn" default:"" allowed:"the ARN of a secret of this account and Region, with the six characters that end it" doc:"A Secrets Manager secret with the sessions' certificate, encrypted by the account's default key: {certificate, privateKey}, both PEM (docs/session.md). Without it each session makes its own, which browsers warn of."`
	}
	Image struct {
		Use       string `key:"image.use" default:"" doc:"Takes an image that exists instead of building one: a tag of this stack's repository, or a digest of any account that lets you pull, in the stack's Region. This is how to go back, and how prod takes the image that dev has tested."`
		BuildOn   string `key:"image.buildOn" default:"builder" doc:"Where images are built: on the stack's builder instance, or on the Docker of the machine that runs pulumi."`
		Base      string `key:"image.base" default:"ubuntu:24.04" doc:"The image that the session image is made from: of Ubuntu 24.04, as DCV needs it. Its files lose the setuid and setgid bits (docs/security.md)."`
		Game      string `key:"image.game" default:"image/games/intraverse" allowed:"a folder with a game.yaml, or an archive of one: .tar, .tar.gz, .tgz, .tar.zst or .zip" doc:"The game, relative to the project's folder or absolute (docs/your-game.md)."`
		GameBuild struct {
			Key     string `key:"image.gameBuild.key" default:"" doc:"A game build in S3, which takes the place of image.game: read by the building machine's own role (docs/delivery.md)."`
			Version string `key:"image.gameBuild.version" default:"latest" doc:"Which version of it. A preview shows to which one latest leads."`
		}
		GameMaxGiB    int    `key:"image.gameMaxGib" default:"40" doc:"The most that the game may take unpacked, GiB: a larger one is refused, at preview as far as it is known there, and while it is unpacked. A host's disk (compute.rootGib) has to hold two to three times as much. A change builds the game's layer anew."`
		Branding      string `key:"image.branding" default:"image/branding" allowed:"a folder with a branding.yaml" doc:"How the session's own pages look, relative to the project's folder or absolute."`
		DisplayServer string `key:"image.displayServer" default:"dcv" doc:"What shows the game to its player: Amazon DCV, or a free one that needs no GPU, and is for trying things out."`
		DCVSource     string `key:"image.dcvSource" default:"https://d1uj6qtbmh3dt5.cloudfront.net/2025.0/Servers" doc:"The folder that DCV's server is downloaded from, by the name in image/packages/dcv.yaml: AWS's own, or a copy of it."`
		Version       string `key:"image.version" default:"dev" doc:"A label of the image: the game build's name."`
		Revision      string `key:"image.revision" default:"" doc:"A label of the image: the source's revision, such as git's. Every other one makes another image, if only by this label; so it is given, and not found out."`
	}
	Delivery struct {
		Prefix     string `key:"delivery.prefix" default:"builds/" doc:"An archive with a key that begins so is a game build: its upload delivers it."`
		Repository string `key:"delivery.repository" default:"" doc:"The GitHub repository with the workflow that deploys. Without it the team gets a message of each new game build, and somebody deploys by hand."`
		Workflow   string `key:"delivery.workflow" default:"release.yml" doc:"The workflow that a new game build starts."`
		Ref        string `key:"delivery.ref" default:"main" doc:"The branch that the workflow runs on."`
		API        string `key:"delivery.api" default:"https://api.github.com" doc:"GitHub's API; a GitHub Enterprise Server's is https://HOST/api/v3."`

		OIDCSubjects       []string `key:"delivery.oidcSubjects" default:"[]" doc:"How GitHub's tokens begin to name the repository, if it isn't repo:OWNER/NAME: one that was made, renamed or moved after 15 July 2026 is repo:OWNER@ID/NAME@ID."`
		CreateOIDCProvider bool     `key:"delivery.createOidcProvider" default:"false" doc:"Makes the account's OpenID Connect provider for GitHub. Set it in one stack of an account that has none, and destroy that stack last: the provider goes with it."`
		StateBucket        string   `key:"delivery.stateBucket" default:"" doc:"The bucket with Pulumi's state, which workflows log in to and their roles may use."`
		StateKeyARN        string   `key:"delivery.stateKeyArn" default:"" doc:"The KMS key of the state's secrets (secretsprovider: awskms://…), which the workflows' roles may decrypt with."`
	}
	Builder struct {
		InstanceType string `key:"builder.instanceType" default:"c6i.xlarge" doc:"The builder's type; it needs no GPU."`
		VolumeGiB    int    `key:"builder.volumeGib" default:"200" doc:"The builder's volume, GiB: about three times the game. It may grow later, not shrink, and is billed while the builder is stopped."`
		IdleMinutes  int    `key:"builder.idleMinutes" default:"15" doc:"After how many minutes without a build the builder powers itself off, if a killed run has left it running."`
		MaxHours     int    `key:"builder.maxHours" default:"4" doc:"After how many hours the builder powers itself off, whatever it does: longer than the longest build and push."`
		ProxyCommand string `key:"builder.proxyCommand" default:"" allowed:"an ssh ProxyCommand, in which %h is the builder's instance id and %p its port" doc:"What ssh reaches the builder by. Without it Session Manager: the AWS CLI with its plugin, in the stack's Region and with aws:profile."`
	}
	Secrets struct {
		RecoveryDays int `key:"secrets.recoveryDays" default:"30" doc:"How long a removed user's secrets can be restored, days. With 0 they are gone at once."`
	}
	Notifications struct {
		TeamEmails []string `key:"notifications.teamEmails" default:"[]" doc:"The team's addresses for messages about the stack; each confirms once."`
	}
	Logs struct {
		RetentionDays int `key:"logs.retentionDays" default:"30" doc:"How long sessions' logs are kept, days."`
	}
	Alarms struct {
		WaitMinutes     int `key:"alarms.waitMinutes" default:"10" doc:"The team is notified if a player waited so long for a session, minutes from its submission."`
		FramesPerSecond int `key:"alarms.framesPerSecond" default:"15" doc:"The team is notified if players have seen fewer new pictures a second for 15 minutes, on average; 0: never. A game that is still for long needs less."`
	}
	Budget struct {
		MonthlyUSD int `key:"budget.monthlyUsd" default:"0" doc:"The stack's budget of a calendar month, USD; 0: none. The team is notified when 80 and 100 % are spent, and when the forecast is above it. It limits nothing, and needs a cost allocation tag (docs/cost.md)."`
	}
	Protect bool              `key:"protect" default:"false" doc:"Refuses to delete resources with data: images, game builds, logs. Set it to false before such a stack is destroyed."`
	Tags    map[string]string `key:"tags" default:"{}" allowed:"up to 40 of name → value; names of up to 128 letters, digits, spaces and . _ : / = + - @, not beginning with aws: or dcv-sessions: and not differing in case only; values of up to 256 of these" doc:"Further tags on every resource, such as a cost centre."`
}

// User is one entry of users.
type User struct {
	Name   string `json:"-"`
	Notify string `json:"notify,omitempty"` // e-mail address; "": no message
}

// Settings returns the settings of the sessions of a stack.
func (c *Config) Settings(stack string) contract.Settings {
	s := contract.Settings{Stack: stack, Region: c.Region}
	for _, k := range keys {
		if k.setting == "" {
			continue
		}
		value := reflect.ValueOf(c).Elem().FieldByIndex(k.index)
		switch field := reflect.ValueOf(&s).Elem().FieldByName(k.setting); field.Interface().(type) {
		case contract.PortRange:
			field.Set(reflect.ValueOf(c.Ports()))
		case time.Duration:
			field.SetInt(value.Int() * int64(k.unit))
		default:
			field.Set(value.Convert(field.Type()))
		}
	}
	return s
}

// GPUs returns the GPUs that a session reserves: none if sessions share one.
func (c *Config) GPUs() int { return session.ReservedGPUs(c.Session.GPUs, c.Session.PerGPU) }

// SharedGPU reports whether sessions share GPUs.
func (c *Config) SharedGPU() bool { return c.Session.PerGPU > 1 }

// Ports returns the range of session ports, as wide as the most sessions of one host.
func (c *Config) Ports() contract.PortRange {
	width := max(capacity.MaxSessionsPerHost(c.Compute.InstanceTypes, c.need()), 1)
	return contract.PortRange{First: c.Session.FirstPort, Last: c.Session.FirstPort + width - 1}
}

// FormerPorts returns the ranges that are admitted beside Ports.
func (c *Config) FormerPorts() []contract.PortRange {
	var ranges []contract.PortRange
	for _, text := range c.Session.FormerPorts {
		if r, err := contract.ParsePortRange(text); err == nil { // else it has its fault
			ranges = append(ranges, r)
		}
	}
	return ranges
}

// LastPort returns the last port that the hosts keep for sessions, of the present range
// and of former ones. Hosts keep none above the last port that a present range may
// have.
func (c *Config) LastPort() int {
	last := c.Ports().Last
	for _, former := range c.FormerPorts() {
		if former.Last <= contract.LastSessionPort {
			last = max(last, former.Last)
		}
	}
	return last
}

// MaxSessions returns how many sessions run at once at most: the sum of the
// compute environments, of which each size has one and Spot one.
func (c *Config) MaxSessions() int {
	sum := 0
	for _, types := range capacity.Sizes(c.Compute.InstanceTypes) {
		sum += capacity.MaxSessions(types, c.need(), c.Compute.MaxVCPUs)
	}
	if c.Compute.Spot {
		sum += capacity.MaxSessions(c.Compute.InstanceTypes, c.need(), c.Compute.SpotMaxVCPUs)
	}
	return sum
}

// Capacity returns the capacity of each instance type.
func (c *Config) Capacity() []contract.HostCapacity {
	return capacity.Of(capacity.Plan{
		Types: c.Compute.InstanceTypes, Session: c.need(), Ports: contract.LastSessionPort - c.Session.FirstPort + 1,
		MinVCPUs: c.Compute.MinVCPUs, MaxVCPUs: c.Compute.MaxVCPUs, Prices: c.Compute.Prices,
	})
}

// CapacityReport returns the capacity for people.
func (c *Config) CapacityReport() capacity.Report {
	return capacity.Report{Hosts: c.Capacity(), MaxSessions: c.MaxSessions(), Spot: c.Compute.Spot, Region: c.Region}
}

// FromProgram returns a path of the configuration, which is relative to the project's
// folder, relative to the program's working directory, infra/.
func FromProgram(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join("..", path)
}

// need returns the part of a host that one session reserves.
func (c *Config) need() capacity.Need {
	return capacity.Need{VCPUs: c.Session.VCPUs, MemoryMiB: c.Session.MemoryMiB, GPUs: c.GPUs()}
}

// Source has the values of a configuration by their keys: a *pulumi.Context, or Values.
type Source interface {
	GetConfig(key string) (value string, set bool)
}

// Values are values of a configuration by their keys: "dcv-sessions:session.vcpus".
type Values map[string]string

// GetConfig returns the value of a key.
func (v Values) GetConfig(key string) (string, bool) {
	value, set := v[key]
	return value, set
}

// Load parses and validates the configuration of the context's stack. Its error
// names every fault on a line of its own, with key, value and rule.
func Load(ctx *pulumi.Context) (*Config, error) {
	v := &validator{Config: &Config{}}
	v.provider(ctx)
	v.parse(ctx)
	unknownKeys(ctx, &v.faults)
	v.validate(ctx.Stack())
	return v.Config, v.faults.Err("the stack's configuration")
}

// Parse returns a configuration as far as its values by themselves can be known, without
// its stack and its files; the keys of the AWS provider are not checked. Its error names the faults
// that were found; keys with malformed values have their defaults.
func Parse(from Source) (*Config, error) {
	v := &validator{Config: &Config{}}
	v.Region, _ = from.GetConfig("aws:region")
	v.parse(from)
	v.checkComponents()
	v.prices(keyNamed("compute.prices"))
	v.fit()
	return v.Config, v.faults.Err("the stack's configuration")
}

var (
	accountPattern = regexp.MustCompile(`^\d{12}$`)
	regionPattern  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d+$`)
)

// provider reads the keys of the AWS provider that this program requires. With a list of
// accounts the provider refuses every other account, so that nobody deploys a stack to
// the wrong one.
func (v *validator) provider(from Source) {
	const region, accounts = "aws:region", "aws:allowedAccountIds"
	v.Region, _ = from.GetConfig(region)
	v.faults.Check(regionPattern.MatchString(v.Region), region, v.Region, "an AWS Region, such as us-east-1")
	v.MetadataEndpoint, _ = from.GetConfig(metadataEndpoint)
	text, set := from.GetConfig(accounts)
	const allowed = `a list with the account that this stack belongs to, 12 digits in quotes, such as ["123456789012"]`
	if !set {
		v.faults.Required(false, accounts, allowed)
		return
	}
	if json.Unmarshal([]byte(text), &v.AllowedAccountIDs) != nil || len(v.AllowedAccountIDs) == 0 {
		v.faults.Add(accounts, shown(text), allowed)
		return
	}
	for i, id := range v.AllowedAccountIDs {
		v.faults.Check(accountPattern.MatchString(id), fmt.Sprintf("%s[%d]", accounts, i), id, allowed)
	}
}

const metadataEndpoint = "aws:ec2MetadataServiceEndpoint"

// validator collects the faults of a configuration.
type validator struct {
	*Config
	faults faults.Faults
}

// check adds a fault of a key unless ok.
func (v *validator) check(ok bool, k Key, value any) {
	v.faults.Check(ok, path(k.Name), value, k.Allowed)
}

// compare adds a fault of a key unless ok, which depends on other keys.
func (v *validator) compare(ok bool, name string, value any, allowed string, others ...string) {
	paths := make([]string, len(others))
	for i, other := range others {
		paths[i] = path(other)
	}
	v.faults.Compare(ok, path(name), value, allowed, paths...)
}

// path returns a key as stack files and messages name it. AWS's own keys have their
// namespace already.
func path(name string) string {
	if name == "" || strings.HasPrefix(name, "aws:") {
		return name
	}
	return contract.Product + ":" + name
}
