package stack

import "github.com/intraverse/dcv-sessions/components/builder"

// declareGameBuilds declares the bucket of game builds.
func (d *deployment) declareGameBuilds() (err error) {
	d.gameBuilds, err = builder.NewGameBuilds(d.ctx, gameBuildsName, &builder.GameBuildsArgs{
		ForceDestroy: !d.cfg.Protect,
		Tags:         d.tags,
	}, d.keep)
	return err
}
