package gameimage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/s3"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/image/fetch/unpack"
)

// Latest stands for the version of a game build that is the newest when a
// preview or update looks for it.
const Latest = "latest"

// ChecksumMetadata is the metadata of a game build's object that has its
// SHA-256, as 64 hexadecimal digits, from the uploader. The checksum that S3 makes of an
// upload in parts is not that of the file.
const ChecksumMetadata = "sha256"

// GameBuild is an archive of the game in a versioned bucket, which the building machine
// reads by its own role.
type GameBuild struct {
	Bucket  pulumi.StringInput
	Key     string
	Version string // an S3 version id, or Latest
	Region  string
	// Endpoint and MetadataEndpoint are S3's and the building machine's instance
	// metadata's if they aren't AWS's own.
	Endpoint, MetadataEndpoint string
}

var (
	// keyPattern leaves out characters that a URL or an event would encode.
	keyPattern      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)
	versionPattern  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,1000}$`)
	checksumPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
	unnamed         = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
)

// found is a game build as S3 has it.
type found struct{ bucket, key, version, sha256 string }

func (f found) String() string {
	return fmt.Sprintf("s3://%s/%s version %s", f.bucket, f.key, f.version)
}

// find asks S3 which build is meant, so that the preview shows the version that
// the update builds.
func (b *GameBuild) find(ctx *pulumi.Context, bucket string, maxGiB int, opts ...pulumi.InvokeOption) (found, error) {
	lookup := &s3.GetObjectArgs{Bucket: bucket, Key: b.Key}
	if b.Version != Latest {
		lookup.VersionId = &b.Version
	}
	object, err := s3.GetObject(ctx, lookup, opts...)
	if err != nil {
		return found{}, fmt.Errorf("image.gameBuild: there is no s3://%s/%s version %s, or this account may not see it: %w", bucket, b.Key, b.Version, err)
	}
	f := found{bucket, b.Key, object.VersionId, strings.ToLower(object.Metadata[ChecksumMetadata])}
	if err := unpack.UpTo(maxGiB).CheckSize(int64(object.ContentLength)); err != nil {
		return f, fmt.Errorf("image.gameBuild: %s: %w", f, err)
	}
	switch {
	case !validVersion(f.version) || f.version == Latest:
		return f, fmt.Errorf("image.gameBuild: %s is no version of its own: the bucket needs versioning, or the same image would hold another game tomorrow", f)
	case !checksumPattern.MatchString(f.sha256):
		return f, fmt.Errorf("image.gameBuild: %s has the metadata %s=%q, which has to be its SHA-256 in 64 hexadecimal digits: upload it again as docs/delivery.md says",
			f, ChecksumMetadata, f.sha256)
	}
	return f, nil
}

// buildArgs are the staged build's with those that fetch the game.
func (b *GameBuild) buildArgs(staged map[string]string, f found) map[string]string {
	args := maps.Clone(staged)
	maps.Copy(args, map[string]string{
		"GAME": path.Base(f.key), "GAME_SOURCE": "s3", "GAME_BUCKET": f.bucket, "GAME_KEY": f.key, "GAME_VERSION": f.version, "GAME_SHA256": f.sha256,
		"AWS_REGION": b.Region,
	})
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": b.Endpoint, "AWS_EC2_METADATA_SERVICE_ENDPOINT": b.MetadataEndpoint} {
		if value != "" {
			args[name] = value
		}
	}
	return args
}

// tag names the build and, by a hash, everything else that the image is made of.
// Where the build lies is no part of it.
func (f found) tag(staged string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q %q %s", staged, f.key, f.version, f.sha256))
	name := path.Base(f.key)
	for _, form := range unpack.Forms {
		name = strings.TrimSuffix(name, form)
	}
	name = unnamed.ReplaceAllString(name, "-")
	return name[:min(len(name), 64)] + "-" + hex.EncodeToString(sum[:8])
}
