package stack

import "github.com/intraverse/dcv-sessions/components/registry"

// declareRegistry declares the repository of the session images.
func (d *deployment) declareRegistry() (err error) {
	d.registry, err = registry.NewRegistry(d.ctx, registryName, &registry.RegistryArgs{
		Keep:         d.cfg.Registry.Keep,
		KeepReleased: d.cfg.Registry.KeepReleased,
		PullAccounts: d.cfg.Registry.PullAccounts,
		ForceDelete:  !d.cfg.Protect,
		Tags:         d.tags,
	}, d.keep)
	return err
}
