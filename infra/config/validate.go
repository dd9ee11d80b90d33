package config

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/components/gameimage"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/branding"
	"github.com/intraverse/dcv-sessions/image/fetch/unpack"
)

var (
	secretPattern = regexp.MustCompile(`^arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):(\d{12}):secret:[\w/+=.@-]+-[A-Za-z0-9]{6}$`)
	// tagPattern matches tags that every AWS service takes (AWS general reference, "Tag
	// naming limits and requirements").
	tagPattern = regexp.MustCompile(`^[\p{L}\p{N} ._:/=+\-@]*$`)
)

// validate applies the components' rules, and those that compare keys of several
// components. AWS would report most of these faults at run time only.
func (v *validator) validate(stack string) {
	v.faults.Check(contract.StackPattern.MatchString(stack), "the stack's name", stack, "a name that matches "+contract.StackPattern.String())
	v.checkComponents()
	v.use()
	if v.Image.Use == "" {
		v.built()
	}
	v.tags(keyNamed("tags"))
	v.prices(keyNamed("compute.prices"))
	v.fit()
	v.session(stack)
	v.certificate(keyNamed("session.certificateSecretArn"))
}

// checkComponents applies the components' rules.
func (v *validator) checkComponents() {
	for _, c := range v.components() {
		c.args.Check(&v.faults, func(property string) string {
			key := path(c.key(property))
			if v.faults.Wrong(key) { // it has its fault, and its default in the configuration
				return ""
			}
			return key
		})
	}
}

// use checks the existing image. One of another Region is refused even though hosts
// could pull it: the provider looks images up in its own Region only; the roles may pull in the stack's Region only; and each new host
// would copy gigabytes from Region to Region.
func (v *validator) use() {
	use := v.Image.Use
	_, region, _ := gameimage.UsedRepository(use)
	known := region != "" && regionPattern.MatchString(v.Region) // else it has its fault already
	v.compare(!known || region == v.Region, "image.use", use, fmt.Sprintf(
		"an image of aws:region, which is %s; this one is of %s: copy it to a repository of %[1]s first (docs/delivery.md)", v.Region, region))
}

// built checks the files that an image is built from.
func (v *validator) built() {
	_, err := branding.Load(FromProgram(v.Image.Branding))
	v.faults.Nest(path("image.branding"), err)
	stop, most := v.Session.StopSeconds, v.Image.GameMaxGiB
	if v.faults.Wrong(path("session.stopSeconds")) {
		stop = math.MaxInt
	}
	if v.faults.Wrong(path("image.gameMaxGib")) {
		most = unpack.MostGiB
	}
	if v.Image.GameBuild.Key != "" {
		return
	}
	v.faults.Nest(path("image.game"), gameimage.CheckGame(FromProgram(v.Image.Game), stop, most))
}

// tags checks the further tags. AWS takes 50 on a resource, some of which are the stack's
// own.
func (v *validator) tags(k Key) {
	v.faults.Check(len(v.Tags) <= 40, "the number of "+path(k.Name), len(v.Tags), "up to 40")
	seen := map[string]string{} // IAM takes Team and team for the same (IAM user guide, "Tags for IAM resources")
	for _, name := range slices.Sorted(maps.Keys(v.Tags)) {
		value, folded := v.Tags[name], strings.ToLower(name)
		reserved := strings.HasPrefix(folded, "aws:") || strings.HasPrefix(folded, contract.Product+":")
		ok := name != "" && len([]rune(name)) <= 128 && len([]rune(value)) <= 256 && tagPattern.MatchString(name+value)
		v.faults.Check(ok && !reserved && seen[folded] == "", fmt.Sprintf("%s[%q]", path(k.Name), name), value, k.Allowed)
		seen[folded] = name
	}
}

// prices checks the prices of hosts.
func (v *validator) prices(k Key) {
	for _, name := range slices.Sorted(maps.Keys(v.Compute.Prices)) {
		_, known := capacity.InstanceTypes[name]
		usd := v.Compute.Prices[name]
		v.faults.Check(known && usd > 0, path(k.Name)+"."+name, usd, k.Allowed)
	}
}

// once returns a list without repetitions, which are faults of their own.
func once(list []string) []string {
	var first []string
	for _, item := range list {
		if !slices.Contains(first, item) {
			first = append(first, item)
		}
	}
	return first
}

// sessionKeys are the keys of the part of a host that a session reserves.
var sessionKeys = []string{"session.vcpus", "session.memoryMib", "session.gpus", "session.perGpu", "compute.instanceTypes"}

// fit adds a fault for each type that no session fits on, with the amounts that are
// missing: AWS Batch would accept the job and leave it RUNNABLE, or keep such a host
// running for nothing (minVcpus). It also adds
// one for each type that would carry too many sessions a GPU: AWS Batch packs by vCPUs
// and memory and knows no share of a GPU.
func (v *validator) fit() {
	need := v.need()
	for _, name := range once(v.Compute.InstanceTypes) {
		t, known := capacity.InstanceTypes[name]
		if !known {
			continue
		}
		carried := t.Sessions(need)
		v.compare(carried > 0, "compute.instanceTypes", name, fmt.Sprintf(
			"a type that a session fits: it takes %s (%s); %s has %s; missing: %s; the cheapest type that it fits: %s",
			need, path("session.vcpus")+", memoryMib, gpus", name, t, strings.Join(t.Missing(need), ", "), cmp.Or(capacity.Cheapest(need), "none")), sessionKeys...)
		v.compare(!v.SharedGPU() || carried <= t.GPUs*v.Session.PerGPU, "session.perGpu", v.Session.PerGPU, fmt.Sprintf(
			"at least %d, or more vCPUs or memory a session: by these a %s carries %d sessions on %d GPUs",
			(carried+t.GPUs-1)/t.GPUs, name, carried, t.GPUs), sessionKeys...)
	}
}

// certificate checks that the secret is of the sessions' account and Region: the ECS
// agent reads no other.
func (v *validator) certificate(k Key) {
	arn := v.Session.CertificateSecretARN
	m := secretPattern.FindStringSubmatch(arn)
	v.check(arn == "" || m != nil && m[1] == v.Region && slices.Contains(v.AllowedAccountIDs, m[2]), k, arn)
}

func (v *validator) session(stack string) {
	s, keys := v.Session, settingKeys()
	v.Settings(stack).Check(&v.faults, func(property string) string {
		key, ok := keys[property] // else it is checked elsewhere
		wrong := func(key string) bool { return v.faults.Wrong(path(key)) }
		if !ok || wrong(key) || property == "ports" && slices.ContainsFunc(sessionKeys, wrong) {
			return ""
		}
		return path(key)
	})
	v.compare(s.MaxMinutes <= v.Compute.UpdateTimeoutMinutes || v.Compute.UpdateEndsSessions, "session.maxMinutes", s.MaxMinutes,
		fmt.Sprintf("at most %s, %d: a change of the hosts terminates the sessions on old ones after so long; or more if %s is true, which accepts that",
			path("compute.updateTimeoutMinutes"), v.Compute.UpdateTimeoutMinutes, path("compute.updateEndsSessions")),
		"compute.updateTimeoutMinutes", "compute.updateEndsSessions")
}
