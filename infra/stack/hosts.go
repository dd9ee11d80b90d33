package stack

import "github.com/intraverse/dcv-sessions/components/compute"

// declareHosts declares the compute environments of the session hosts, and the hook
// that waits for their updates.
func (d *deployment) declareHosts() error {
	updating, err := d.account.hostHooks(d.ctx, hostsName, d.cfg.Compute.UpdateTimeoutMinutes)
	if err != nil {
		return err
	}
	d.hosts, err = compute.NewCompute(d.ctx, hostsName, &compute.ComputeArgs{
		InstanceTypes:        d.cfg.Compute.InstanceTypes,
		MinVCPUs:             d.cfg.Compute.MinVCPUs,
		MaxVCPUs:             d.cfg.Compute.MaxVCPUs,
		Spot:                 d.cfg.Compute.Spot,
		SpotMaxVCPUs:         d.cfg.Compute.SpotMaxVCPUs,
		Image:                d.cfg.Compute.Image,
		RootGiB:              d.cfg.Compute.RootGiB,
		StopSeconds:          d.cfg.Session.StopSeconds,
		UpdateTimeoutMinutes: d.cfg.Compute.UpdateTimeoutMinutes,
		Hooks:                updating,
		LastPort:             d.cfg.LastPort(),
		SharedGPU:            d.cfg.SharedGPU(),
		SubnetIDs:            d.network.SubnetIDs,
		SecurityGroupID:      d.network.SecurityGroupID,
		InstanceProfileARN:   d.roles.HostInstanceProfileARN,
		After:                d.roles.HostReady,
		Tags:                 d.tags,
	})
	return err
}
