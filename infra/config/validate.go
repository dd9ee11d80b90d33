package config

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/components/builder"
	"github.com/intraverse/dcv-sessions/components/compute"
	"github.com/intraverse/dcv-sessions/components/delivery"
	"github.com/intraverse/dcv-sessions/components/gameimage"
	"github.com/intraverse/dcv-sessions/components/githubroles"
	"github.com/intraverse/dcv-sessions/components/network"
	"github.com/intraverse/dcv-sessions/components/userresources"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/branding"
	"github.com/intraverse/dcv-sessions/image/fetch/unpack"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

var (
	vpcPattern     = regexp.MustCompile(`^vpc-[0-9a-z]+$`)
	subnetPattern  = regexp.MustCompile(`^subnet-[0-9a-z]+$`)
	imagePattern   = regexp.MustCompile(`^[a-zA-Z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?$`)
	versionPattern = regexp.MustCompile(`^[A-Za-z0-9._+-]{1,128}$`)
	secretPattern  = regexp.MustCompile(`^arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):(\d{12}):secret:[\w/+=.@-]+-[A-Za-z0-9]{6}$`)
	// tagPattern is what every AWS service takes (AWS general reference, "Tag
	// naming limits and requirements").
	tagPattern = regexp.MustCompile(`^[\p{L}\p{N} ._:/=+\-@]*$`)
)

// validate checks what takes more than a key's own type and range: much of it
// AWS would tell at run time only.
func (v *validator) validate(stack string) {
	v.faults.Check(contract.StackPattern.MatchString(stack), "the stack's name", stack, "a name that matches "+contract.StackPattern.String())
	byName := map[string]Key{}
	for _, k := range Keys() {
		byName[k.Name] = k
	}
	v.network(byName)
	v.users(byName)
	v.image(byName)
	v.delivery(byName)
	v.tags(byName["tags"])
	v.instanceTypes(byName["compute.instanceTypes"])
	v.check(compute.ValidImage(v.Compute.Image), byName["compute.image"], v.Compute.Image)
	v.capacity()
	v.fit()
	v.session(stack)
	v.each(byName["session.formerPorts"], v.Session.FormerPorts, v.former)
	v.certificate(byName["session.certificateSecretArn"])
	days := v.Secrets.RecoveryDays
	v.check(days == 0 || days >= 7, byName["secrets.recoveryDays"], days)
}

func (v *validator) network(keys map[string]Key) {
	n := v.Network
	const vpc, subnets, players = "network.vpcId", "network.subnetIds", "network.playerCidrs"
	v.cross(n.VPCID == "" || len(n.SubnetIDs) > 0, subnets, n.SubnetIDs, "subnets of "+n.VPCID+": an existing VPC comes with its subnets", vpc)
	v.cross(n.VPCID != "" || len(n.SubnetIDs) == 0, vpc, "", "the VPC of the subnets in "+path(subnets), subnets)
	v.check(n.VPCID == "" || vpcPattern.MatchString(n.VPCID), keys[vpc], n.VPCID)
	v.each(keys[subnets], n.SubnetIDs, subnetPattern.MatchString)
	block, err := netip.ParsePrefix(n.CIDRBlock)
	v.check(err == nil && block.Addr().Is4() && block.Bits() >= 16 && block.Bits() <= 24 && block == block.Masked(),
		keys["network.cidrBlock"], n.CIDRBlock)
	if !v.malformed[players] {
		network.CheckPlayerCIDRs(&v.faults, path(players), n.PlayerCIDRs, n.OpenToWorld || v.malformed["network.openToWorld"])
	}
	v.each(keys["registry.pullAccounts"], v.Registry.PullAccounts, accountPattern.MatchString)
}

// each checks a list's items: each as it should be, and each once.
func (v *validator) each(k Key, list []string, valid func(string) bool) {
	for i, item := range list {
		v.check(valid(item) && !slices.Contains(list[:i], item), k, item)
	}
}

func (v *validator) users(keys map[string]Key) {
	for _, u := range v.Users {
		name := "users." + u.Name
		v.cross(contract.UserPattern.MatchString(u.Name), name, u.Name, "a name that matches "+contract.UserPattern.String())
		v.cross(!contract.Reserved(u.Name), name, u.Name, "a name that is no account of the session image")
		v.cross(u.Notify == "" || userresources.ValidEmail(u.Notify), name+".notify", u.Notify, "an e-mail address")
	}
	v.each(keys["notifications.teamEmails"], v.Notifications.TeamEmails, userresources.ValidEmail)
}

func (v *validator) image(keys map[string]Key) {
	v.use(keys["image.use"])
	v.check(imagePattern.MatchString(v.Image.Base), keys["image.base"], v.Image.Base)
	v.check(versionPattern.MatchString(v.Image.Version), keys["image.version"], v.Image.Version)
	v.check(v.Image.Revision == "" || versionPattern.MatchString(v.Image.Revision), keys["image.revision"], v.Image.Revision)
	v.check(validSource(v.Image.DCVSource), keys["image.dcvSource"], v.Image.DCVSource)
	v.check(builder.ValidType(v.Builder.InstanceType), keys["builder.instanceType"], v.Builder.InstanceType)
	v.gameBuild(keys)
	if v.Image.Use == "" {
		v.built()
	}
}

// use checks the image that is taken. One of another Region is refused even though
// hosts could pull it: the provider looks images up in its own Region, where that
// one is missing; the roles may pull in the stack's Region only; and each new host
// would copy gigabytes from Region to Region.
func (v *validator) use(k Key) {
	use := v.Image.Use
	v.check(use == "" || gameimage.ValidUse(use), k, use)
	_, region, _ := gameimage.UsedRepository(use)
	known := region != "" && regionPattern.MatchString(v.Region) // else it has its fault already
	v.cross(!known || region == v.Region, k.Name, use, fmt.Sprintf(
		"an image of aws:region, which is %s; this one is of %s: copy it to a repository of %[1]s first (docs/delivery.md)", v.Region, region))
}

// gameBuild checks which build is meant; whether it is there S3 tells the preview.
func (v *validator) gameBuild(keys map[string]Key) {
	const key, version = "image.gameBuild.key", "image.gameBuild.version"
	build := v.Image.GameBuild
	v.check(build.Key == "" || gameimage.ValidBuildKey(build.Key), keys[key], build.Key)
	v.check(gameimage.ValidBuildVersion(build.Version), keys[version], build.Version)
	local := v.Image.Use == "" && v.Image.BuildOn == gameimage.BuildOnLocal
	v.cross(build.Key == "" || !local || v.MetadataEndpoint != "", "image.buildOn", v.Image.BuildOn,
		fmt.Sprintf("builder, where %s is set: this machine has no role to read it with, and no %s stands for one", path(key), metadataEndpoint), key, "image.use")
}

func (v *validator) delivery(keys map[string]Key) {
	d := v.Delivery
	v.check(delivery.ValidPrefix(d.Prefix), keys["delivery.prefix"], d.Prefix)
	v.check(d.Repository == "" || delivery.ValidRepository(d.Repository), keys["delivery.repository"], d.Repository)
	v.check(delivery.ValidWorkflow(d.Workflow), keys["delivery.workflow"], d.Workflow)
	v.check(delivery.ValidRef(d.Ref), keys["delivery.ref"], d.Ref)
	v.check(delivery.ValidAPI(d.API), keys["delivery.api"], d.API)
	v.each(keys["delivery.oidcSubjects"], d.OIDCSubjects, githubroles.ValidSubject)
	v.check(d.StateBucket == "" || githubroles.ValidBucket(d.StateBucket), keys["delivery.stateBucket"], d.StateBucket)
	v.check(d.StateKeyARN == "" || githubroles.ValidKeyARN(d.StateKeyARN), keys["delivery.stateKeyArn"], d.StateKeyARN)
}

// built checks what an image is built from, file by file.
func (v *validator) built() {
	_, err := branding.Load(FromProgram(v.Image.Branding))
	v.faults.Nest(path("image.branding"), err)
	stop := v.Session.StopSeconds
	if v.malformed["session.stopSeconds"] {
		stop = math.MaxInt // it has its fault already
	}
	most := v.Image.GameMaxGiB
	if v.malformed["image.gameMaxGib"] {
		most = unpack.MostGiB
	}
	if v.Image.GameBuild.Key != "" {
		return
	}
	v.faults.Nest(path("image.game"), gameimage.CheckGame(FromProgram(v.Image.Game), stop, most))
}

// validSource tells whether nobody can change a download on its way: plain HTTP
// is for this machine only. The checksum may be one that others published.
func validSource(text string) bool {
	at, err := url.Parse(text)
	if err != nil || at.Host == "" || at.RawQuery != "" || at.Fragment != "" || at.User != nil {
		return false
	}
	address, err := netip.ParseAddr(at.Hostname())
	return at.Scheme == "https" || at.Scheme == "http" && err == nil && address.IsLoopback()
}

// tags leaves room for the stack's own: AWS takes 50 on a resource.
func (v *validator) tags(k Key) {
	v.check(len(v.Tags) <= 40, k, fmt.Sprintf("%d tags", len(v.Tags)))
	seen := map[string]string{} // IAM takes Team and team for the same (IAM user guide, "Tags for IAM resources")
	for _, name := range slices.Sorted(maps.Keys(v.Tags)) {
		value, folded := v.Tags[name], strings.ToLower(name)
		reserved := strings.HasPrefix(folded, "aws:") || strings.HasPrefix(folded, contract.Product+":")
		ok := name != "" && len([]rune(name)) <= 128 && len([]rune(value)) <= 256 && tagPattern.MatchString(name+value)
		v.cross(ok && !reserved && seen[folded] == "", "tags", name+"="+value, k.Allowed)
		seen[folded] = name
	}
}

func (v *validator) instanceTypes(k Key) {
	types := v.Compute.InstanceTypes
	v.check(len(types) > 0, k, types)
	for i, name := range types {
		_, known := compute.InstanceTypes[name]
		v.cross(known, k.Name, name, "a type of docs/configuration.md's table; nearest: "+faults.Nearest(name, compute.Known()))
		v.cross(!slices.Contains(types[:i], name), k.Name, name, "each type once")
	}
	sizes, most := len(compute.Sizes(types)), compute.MaxSizes(v.Compute.Spot)
	v.cross(sizes <= most, k.Name, fmt.Sprintf("%d sizes", sizes), fmt.Sprintf(
		"types of at most %d sizes where %s is %t: a job queue takes %d compute environments, one for each size and one for Spot hosts",
		most, path("compute.spot"), v.Compute.Spot, compute.MaxEnvironments), "compute.spot")
}

// once leaves out what a list names again, which is a fault of its own.
func once(list []string) []string {
	var first []string
	for _, item := range list {
		if !slices.Contains(first, item) {
			first = append(first, item)
		}
	}
	return first
}

// capacity checks what an environment may grow to. One that is smaller than its
// hosts would never start them.
func (v *validator) capacity() {
	c := v.Compute
	const least, most = "compute.minVcpus", "compute.maxVcpus"
	v.cross(c.MinVCPUs <= c.MaxVCPUs, least, c.MinVCPUs, fmt.Sprintf("at most %s, %d", path(most), c.MaxVCPUs), most)
	for _, name := range once(c.InstanceTypes) {
		vcpus, allowed := compute.InstanceTypes[name].VCPUs, fmt.Sprintf("at least the %d vCPUs of one %s", compute.InstanceTypes[name].VCPUs, name)
		v.cross(vcpus <= c.MaxVCPUs, most, c.MaxVCPUs, allowed, "compute.instanceTypes")
		v.cross(!c.Spot || vcpus <= c.SpotMaxVCPUs, "compute.spotMaxVcpus", c.SpotMaxVCPUs, allowed, "compute.instanceTypes", "compute.spot")
	}
}

// sessionKeys are what a session takes of its host.
var sessionKeys = []string{"session.vcpus", "session.memoryMib", "session.gpus", "session.perGpu", "compute.instanceTypes"}

// fit finds types that no session fits. AWS Batch would take the job and leave
// it RUNNABLE, or hold such a host ready for nothing (minVcpus). It also finds
// types that would carry more sessions a GPU than there should be: AWS Batch
// packs by vCPUs and memory and knows no share of a GPU.
func (v *validator) fit() {
	need := v.need()
	for _, name := range once(v.Compute.InstanceTypes) {
		t, known := compute.InstanceTypes[name]
		if !known {
			continue
		}
		carried := t.Sessions(need)
		v.cross(carried > 0, "compute.instanceTypes", name, fmt.Sprintf(
			"a type that a session fits: it takes %d vCPUs, %d MiB, %d GPUs (%s); %s has %d vCPUs, %d MiB for containers, %d GPUs",
			need.VCPUs, need.MemoryMiB, need.GPUs, path("session.vcpus")+", memoryMib, gpus", name, t.VCPUs, t.MemoryForContainers(), t.GPUs), sessionKeys...)
		v.cross(!v.SharedGPU() || carried <= t.GPUs*v.Session.PerGPU, "session.perGpu", v.Session.PerGPU, fmt.Sprintf(
			"at least %d, or more vCPUs or memory a session: by these a %s carries %d sessions on %d GPUs",
			(carried+t.GPUs-1)/t.GPUs, name, carried, t.GPUs), sessionKeys...)
	}
}

// certificate must be where the sessions are: the ECS agent reads no other.
func (v *validator) certificate(k Key) {
	arn := v.Session.CertificateSecretARN
	m := secretPattern.FindStringSubmatch(arn)
	v.check(arn == "" || m != nil && m[1] == v.Region && slices.Contains(v.AllowedAccountIDs, m[2]), k, arn)
}

// former reports whether a range may be admitted beside the present one.
func (v *validator) former(text string) bool {
	r, err := contract.ParsePortRange(text)
	return err == nil && network.ValidPorts(r) && r != v.Ports()
}

func (v *validator) session(stack string) {
	s, keys := v.Session, settingKeys()
	v.Settings(stack).Check(&v.faults, func(property string) string {
		key, ok := keys[property] // else it is checked elsewhere
		malformed := v.malformed[key] || property == "ports" && slices.ContainsFunc(sessionKeys, func(k string) bool { return v.malformed[k] })
		if !ok || malformed {
			return ""
		}
		return path(key)
	})
	v.cross(s.MaxMinutes <= v.Compute.UpdateTimeoutMinutes || v.Compute.UpdateEndsSessions, "session.maxMinutes", s.MaxMinutes,
		fmt.Sprintf("at most %s, %d: a change of the hosts terminates the sessions on old ones after so long; or more where %s is true, which accepts that",
			path("compute.updateTimeoutMinutes"), v.Compute.UpdateTimeoutMinutes, path("compute.updateEndsSessions")),
		"compute.updateTimeoutMinutes", "compute.updateEndsSessions")
	v.cross(s.SharedMemoryMiB < s.MemoryMiB, "session.sharedMemoryMib", s.SharedMemoryMiB,
		fmt.Sprintf("less than %s, %d", path("session.memoryMib"), s.MemoryMiB), "session.memoryMib")
	v.cross(!v.SharedGPU() || s.GPUs == 1, "session.gpus", s.GPUs,
		fmt.Sprintf("1 where %s is %d: a GPU is shared or owned", path("session.perGpu"), s.PerGPU), "session.perGpu")
}
