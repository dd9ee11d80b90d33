package stack

import (
	"cmp"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/intraverse/dcv-sessions/components/builder"
	"github.com/intraverse/dcv-sessions/components/gameimage"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/infra/config"
)

// declareImage builds the session image, or takes one that exists.
func (d *deployment) declareImage() error {
	build, err := d.gameBuild()
	if err != nil {
		return err
	}
	proxy := cmp.Or(d.cfg.Builder.ProxyCommand, builder.SessionManager(d.cfg.Region, d.account.profile()))
	d.image, err = gameimage.NewGameImage(d.ctx, imageName, &gameimage.GameImageArgs{
		Use:            d.cfg.Image.Use,
		BuildOn:        d.cfg.Image.BuildOn,
		Host:           d.builder.DockerHost,
		SSHOptions:     builder.SSHOptions(d.loginDir(), proxy),
		Hooks:          d.building,
		RepositoryURL:  d.registry.URL,
		RepositoryName: d.registry.Name,
		RegistryID:     d.registry.RegistryID,
		BaseImage:      d.cfg.Image.Base,
		Version:        d.cfg.Image.Version,
		Revision:       d.cfg.Image.Revision,
		DisplayServer:  contract.DisplayServer(d.cfg.Image.DisplayServer),
		MaxGiB:         d.cfg.Image.GameMaxGiB,
		DCVSource:      d.cfg.Image.DCVSource,
		StopSeconds:    d.cfg.Session.StopSeconds,
		Build:          build,
		Game:           config.FromProgram(d.cfg.Image.Game),
		Branding:       config.FromProgram(d.cfg.Image.Branding),
		StagingDir:     "../.build/image-" + d.stack, // a stack may have a game of its own
	})
	return err
}

// gameBuild returns the game build in S3 that the configuration names, or nil.
func (d *deployment) gameBuild() (*gameimage.GameBuild, error) {
	if d.cfg.Image.GameBuild.Key == "" {
		return nil, nil
	}
	endpoint, err := d.account.endpoint("s3")
	if err != nil {
		return nil, err
	}
	return &gameimage.GameBuild{
		Bucket:           d.gameBuilds.Bucket,
		Key:              d.cfg.Image.GameBuild.Key,
		Version:          d.cfg.Image.GameBuild.Version,
		Region:           d.cfg.Region,
		Endpoint:         aws.ToString(endpoint),
		MetadataEndpoint: d.cfg.MetadataEndpoint,
	}, nil
}
