package stack

import "github.com/intraverse/dcv-sessions/components/network"

// declareNetwork declares the network of hosts and builder, or uses an existing one,
// and admits the players.
func (d *deployment) declareNetwork() (err error) {
	d.network, err = network.NewNetwork(d.ctx, networkName, &network.NetworkArgs{
		VPCID:       d.cfg.Network.VPCID,
		SubnetIDs:   d.cfg.Network.SubnetIDs,
		CIDRBlock:   d.cfg.Network.CIDRBlock,
		Zones:       d.cfg.Network.Zones,
		Ports:       d.cfg.Ports(),
		FormerPorts: d.cfg.Session.FormerPorts,
		PlayerCIDRs: d.cfg.Network.PlayerCIDRs,
		OpenToWorld: d.cfg.Network.OpenToWorld,
		Tags:        d.tags,
	})
	return err
}
