package gameimage

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/fetch/unpack"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

var (
	tagPattern    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digestPattern = regexp.MustCompile(`^([^@\s]+/[^@\s:]+)@(sha256:[0-9a-f]{64})$`)
	basePattern   = regexp.MustCompile(`^[a-zA-Z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?$`)
	labelPattern  = regexp.MustCompile(`^[A-Za-z0-9._+-]{1,128}$`)
)

// Check adds the faults of the plain fields other than Game and Branding. at returns
// the path of a property; those of Build begin with "build.".
func (a *GameImageArgs) Check(f *faults.Faults, at func(property string) string) {
	const label = "up to 128 letters, digits and . _ + -"
	f.Check(a.Use == "" || tagPattern.MatchString(a.Use) || digestPattern.MatchString(a.Use), at("use"), a.Use,
		"a tag, or repository@sha256: and 64 hexadecimal digits")
	faults.OneOf(f, at("buildOn"), a.BuildOn, BuildOnBuilder, BuildOnLocal)
	f.Check(basePattern.MatchString(a.BaseImage), at("baseImage"), a.BaseImage, "an image reference, such as ubuntu:24.04")
	f.Check(labelPattern.MatchString(a.Version), at("version"), a.Version, label)
	f.Check(a.Revision == "" || labelPattern.MatchString(a.Revision), at("revision"), a.Revision, label)
	faults.OneOf(f, at("displayServer"), a.DisplayServer, contract.DisplayServers...)
	f.Check(validSource(a.DCVSource) || a.DisplayServer != contract.DCV && a.DCVSource == "", at("dcvSource"), a.DCVSource,
		"an https:// URL, or an http:// one of this machine, 127.…")
	f.Between(at("maxGib"), a.MaxGiB, 1, unpack.MostGiB)
	f.Check(a.StopSeconds > 0, at("stopSeconds"), a.StopSeconds, "a whole number from 1 up")
	if a.Build == nil {
		return
	}
	within := func(property string) string { return at("build." + property) }
	a.Build.Check(f, within)
	local := a.Use == "" && a.BuildOn == BuildOnLocal
	f.Compare(!local || a.Build.Key == "" || a.Build.MetadataEndpoint != "", at("buildOn"), a.BuildOn, fmt.Sprintf(
		"builder when %s is set: this machine has no role to read the build with, and no %s stands for one", within("key"), within("metadataEndpoint")),
		within("key"), at("use"))
}

func (a *GameImageArgs) validate() error {
	var f faults.Faults
	a.Check(&f, faults.Property)
	f.Required(a.BuildOn != BuildOnBuilder || a.Host != nil, "host", "the builder's Docker, ssh://…")
	f.Required(a.BuildOn != BuildOnBuilder || a.Use != "" || a.Hooks != nil, "hooks", "the hooks that start and stop the builder")
	if a.Build != nil {
		f.Required(a.Build.Bucket != nil, "build.bucket", "the bucket of game builds")
		f.Required(a.Build.Key != "", "build.key", "the key of an archive in the bucket")
		f.Required(a.Build.Region != "", "build.region", "an AWS Region")
	} else {
		f.Required(a.Game != "", "game", "a game's folder or archive")
	}
	f.Required(a.Branding != "", "branding", "a folder")
	f.Required(a.RepositoryURL != nil && a.RepositoryName != nil && a.RegistryID != nil, "repositoryUrl", "a repository")
	return f.Err("image")
}

// Check adds the faults of the build's key and version; without a key there is no
// build. at returns the path of a property.
func (b *GameBuild) Check(f *faults.Faults, at func(property string) string) {
	f.Check(b.Key == "" || validKey(b.Key), at("key"), b.Key,
		"the key of an archive in the stack's bucket of game builds, such as builds/game.tar.zst: letters, digits and . _ - / only")
	f.Check(b.Version == Latest || validVersion(b.Version), at("version"), b.Version, "an S3 version id, or "+Latest)
}

// validSource reports whether nobody can change a download on its way: plain HTTP is
// for this machine only. The checksum may be one that others published.
func validSource(text string) bool {
	source, err := url.Parse(text)
	if err != nil || source.Host == "" || source.RawQuery != "" || source.Fragment != "" || source.User != nil {
		return false
	}
	address, err := netip.ParseAddr(source.Hostname())
	return source.Scheme == "https" || source.Scheme == "http" && err == nil && address.IsLoopback()
}

// validKey reports whether a text is the key of an archive.
func validKey(key string) bool {
	return len(key) <= 512 && keyPattern.MatchString(key) && slices.ContainsFunc(unpack.Forms, func(form string) bool {
		return strings.HasSuffix(key, form)
	})
}

// validVersion reports whether a text is a version id of S3. An object that was put
// before its bucket had versions has the id "null".
func validVersion(version string) bool {
	return versionPattern.MatchString(version) && version != "null"
}
