package stack

import (
	"github.com/intraverse/dcv-sessions/components/gameimage"
	"github.com/intraverse/dcv-sessions/components/roles"
)

// declareRoles declares the roles of hosts, sessions and builder, and the permissions
// boundary of all roles.
func (d *deployment) declareRoles() (err error) {
	d.roles, err = roles.NewRoles(d.ctx, rolesName, &roles.RolesArgs{
		Stack:               d.stack,
		RepositoryARN:       d.registry.ARN,
		GameBuildsBucketARN: d.gameBuilds.BucketARN,
		LogGroupARN:         d.logs.LogGroupARN,
		KeyARN:              d.users.KeyARN,
		CertificateARN:      d.cfg.Session.CertificateSecretARN,
		UsedRepository:      d.usedRepository(),
		SupportAccess:       d.cfg.Compute.SupportAccess,
		RegistryName:        registryName,
		DeliveryName:        deliveryName,
		Tags:                d.tags,
	})
	return err
}

// usedRepository returns the repository of the image that image.use names by its
// address.
func (d *deployment) usedRepository() roles.Repository {
	account, region, name := gameimage.UsedRepository(d.cfg.Image.Use)
	return roles.Repository{Account: account, Region: region, Name: name}
}
