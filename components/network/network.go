// Package network declares the network of session hosts: a VPC with public subnets and
// the security group that admits players to the DCV port range.
package network

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	awsec2 "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/vpc"
	"github.com/pulumi/pulumi-awsx/sdk/v2/go/awsx/ec2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// NetworkArgs are plain values, which decide the resources that there are.
type NetworkArgs struct {
	// VPCID and SubnetIDs name an existing VPC and public subnets of it; both or
	// neither. Without them a VPC is made.
	VPCID     string
	SubnetIDs []string
	// CIDRBlock and Zones shape a new VPC: an IPv4 block of /16 to /24, of which
	// two to six availability zones take an eighth each. Zones may grow later
	// without moving a subnet; the block may not change under live hosts.
	CIDRBlock string
	Zones     int
	// Ports are admitted, TCP and UDP, within 1025-65535: DCV takes ports above
	// 1024 only (DCV administrator guide, "Changing the TCP/UDP port").
	Ports contract.PortRange
	// FormerPorts are still admitted, for sessions that began before Ports changed: a
	// security group applies its present rules to every new connection, also to such a
	// session. Each is a text, as a contract.PortRange returns it.
	FormerPorts []string
	// PlayerCIDRs are the IPv4 and IPv6 networks that players come from, one at
	// least, none within another, each in its plain form. Each takes two rules a port
	// range; AWS admits 60 a group and address family unless raised (VPC user guide,
	// "Amazon VPC quotas").
	PlayerCIDRs []string
	// OpenToWorld has to be set for 0.0.0.0/0 or ::/0 among them.
	OpenToWorld bool
	// Tags are put on everything.
	Tags map[string]string
}

// Network is the network of session hosts.
type Network struct {
	pulumi.ResourceState

	VPCID           pulumi.StringOutput
	SubnetIDs       pulumi.StringArrayOutput // public ones; in at least two zones if they are made here
	SecurityGroupID pulumi.StringOutput      // of session hosts
}

// NewNetwork declares the network. Arguments that can't work are refused before
// anything is declared, and unsuitable subnets of an existing VPC by the preview; in
// both cases with every fault at once.
func NewNetwork(ctx *pulumi.Context, name string, args *NetworkArgs, opts ...pulumi.ResourceOption) (*Network, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	n := &Network{}
	if err := ctx.RegisterComponentResource("dcv:network:Network", name, n, opts...); err != nil {
		return nil, err
	}
	place := n.makeVPC
	if args.VPCID != "" {
		place = n.adoptVPC
	}
	if err := place(ctx, name, args); err != nil {
		return nil, err
	}
	if err := n.admitPlayers(ctx, name, args); err != nil {
		return nil, err
	}
	return n, ctx.RegisterResourceOutputs(n, pulumi.Map{
		"vpcId": n.VPCID, "subnetIds": n.SubnetIDs, "securityGroupId": n.SecurityGroupID,
	})
}

var (
	vpcPattern    = regexp.MustCompile(`^vpc-[0-9a-z]+$`)
	subnetPattern = regexp.MustCompile(`^subnet-[0-9a-z]+$`)
)

// Check adds the faults of the arguments. at returns the path of a property.
func (a *NetworkArgs) Check(f *faults.Faults, at func(property string) string) {
	vpc, subnets, made := at("vpcId"), at("subnetIds"), a.VPCID == ""
	f.Check(made || vpcPattern.MatchString(a.VPCID), vpc, a.VPCID, "a VPC's id, vpc-…, together with its subnets")
	f.Each(subnets, a.SubnetIDs, subnetPattern.MatchString, "ids of subnets of the VPC, subnet-…")
	f.Compare(made || len(a.SubnetIDs) > 0, subnets, a.SubnetIDs, "one or more subnets of "+a.VPCID+": an existing VPC comes with its subnets", vpc)
	f.Compare(!made || len(a.SubnetIDs) == 0, vpc, a.VPCID, "the VPC of the subnets in "+subnets, subnets)
	if made || a.CIDRBlock != "" {
		f.Check(validBlock(a.CIDRBlock), at("cidrBlock"), a.CIDRBlock, "an IPv4 block of /16 to /24 without host bits, such as 10.20.0.0/16")
	}
	if made || a.Zones != 0 {
		f.Between(at("zones"), a.Zones, 2, 6)
	}
	f.Check(validPorts(a.Ports), at("ports"), a.Ports, "a range within 1025-65535 (DCV's ports are above 1024)")
	f.Each(at("formerPorts"), a.FormerPorts, func(text string) bool {
		former, err := contract.ParsePortRange(text)
		return err == nil && validPorts(former) && former != a.Ports
	}, "ranges within 1025-65535 other than the present one, such as 8443-8446")
	a.checkPlayers(f, at("playerCidrs"), at("openToWorld"))
}

func (a *NetworkArgs) validate() error {
	var f faults.Faults
	a.Check(&f, faults.Property)
	return f.Err("network")
}

func validBlock(text string) bool {
	block, err := netip.ParsePrefix(text)
	return err == nil && block.Addr().Is4() && block.Bits() >= 16 && block.Bits() <= 24 && block == block.Masked()
}

// validPorts reports whether DCV's servers can use a range: ports above 1024.
func validPorts(r contract.PortRange) bool {
	return r.First >= 1025 && r.Last <= 65535 && r.Width() >= 1
}

// checkPlayers adds a fault for each network that is malformed, has host bits, is not
// in its plain form, is named or contained twice, or is the whole internet without the
// flag. list and flag are the paths of both.
func (a *NetworkArgs) checkPlayers(f *faults.Faults, list, flag string) {
	f.Check(len(a.PlayerCIDRs) > 0, list, a.PlayerCIDRs, "one or more IPv4 and IPv6 networks without host bits that don't overlap, such as 203.0.113.0/24")
	var seen []netip.Prefix
	for i, text := range a.PlayerCIDRs {
		path := faults.Item(list, i)
		prefix, err := netip.ParsePrefix(text)
		switch {
		case err != nil || prefix.Addr().Is4In6():
			f.Add(path, text, "an IPv4 or IPv6 network, such as 203.0.113.0/24")
			continue
		case prefix != prefix.Masked():
			f.Add(path, text, fmt.Sprintf("a network without host bits: %s?", prefix.Masked()))
			continue
		case prefix.String() != text: // AWS answers the plain form: every refresh would see a difference
			f.Add(path, text, fmt.Sprintf("the network in its plain form: %s", prefix))
		case prefix.Bits() == 0:
			f.Compare(a.OpenToWorld, path, text, "the whole internet only if "+flag+" is true", flag)
		}
		for _, other := range seen {
			if prefix.Overlaps(other) {
				f.Add(path, text, fmt.Sprintf("a network apart from the others: it overlaps %s", other))
			}
		}
		seen = append(seen, prefix)
	}
}

// adoptVPC uses an existing VPC. Hosts get their public address from the subnet, so a
// subnet that assigns none is refused.
func (n *Network) adoptVPC(ctx *pulumi.Context, _ string, args *NetworkArgs) error {
	var f faults.Faults
	for _, id := range args.SubnetIDs {
		subnet, err := awsec2.LookupSubnet(ctx, &awsec2.LookupSubnetArgs{Id: pulumi.StringRef(id)}, pulumi.Parent(n))
		if err != nil {
			f.Add("subnetIds", id, fmt.Sprintf("an existing subnet (%v)", err))
			continue
		}
		f.Check(subnet.VpcId == args.VPCID, "subnetIds", id, fmt.Sprintf("a subnet of %s; this one is of %s", args.VPCID, subnet.VpcId))
		f.Check(subnet.MapPublicIpOnLaunch, "subnetIds", id,
			"a subnet that gives hosts a public address (mapPublicIpOnLaunch): players connect to the host itself")
	}
	n.VPCID = pulumi.String(args.VPCID).ToStringOutput()
	n.SubnetIDs = pulumi.ToStringArray(args.SubnetIDs).ToStringArrayOutput()
	return f.Err("network")
}

// makeVPC declares a VPC of public subnets only, which needs no NAT gateway.
func (n *Network) makeVPC(ctx *pulumi.Context, name string, args *NetworkArgs) error {
	strategy := ec2.SubnetAllocationStrategyAuto
	made, err := ec2.NewVpc(ctx, name, &ec2.VpcArgs{
		CidrBlock:                 pulumi.StringRef(args.CIDRBlock),
		NumberOfAvailabilityZones: pulumi.IntRef(args.Zones),
		// By default the block is divided by the number of zones, and one more zone
		// would replace the subnets of running hosts.
		AvailabilityZoneCidrMask: pulumi.IntRef(netip.MustParsePrefix(args.CIDRBlock).Bits() + 3),
		EnableDnsHostnames:       pulumi.Bool(true),
		NatGateways:              &ec2.NatGatewayConfigurationArgs{Strategy: ec2.NatGatewayStrategyNone},
		SubnetStrategy:           &strategy,
		SubnetSpecs:              []ec2.SubnetSpecArgs{{Type: ec2.SubnetTypePublic}}, // these map public addresses on launch
		Tags:                     pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(n))
	if err != nil {
		return err
	}
	n.VPCID, n.SubnetIDs = made.VpcId, made.PublicSubnetIds
	return n.reachS3(ctx, name, made, args)
}

// reachS3 declares a gateway endpoint for S3, which costs nothing: image layers, which
// ECR keeps in S3, and game builds don't go through the internet gateway. It is no
// endpoint spec of the VPC, since those can't name the VPC's own route tables.
func (n *Network) reachS3(ctx *pulumi.Context, name string, made *ec2.Vpc, args *NetworkArgs) error {
	region, err := aws.GetRegion(ctx, &aws.GetRegionArgs{}, pulumi.Parent(n))
	if err != nil {
		return err
	}
	_, err = awsec2.NewVpcEndpoint(ctx, name+"-s3", &awsec2.VpcEndpointArgs{
		VpcId:           made.VpcId,
		ServiceName:     pulumi.String("com.amazonaws." + region.Name + ".s3"),
		VpcEndpointType: pulumi.String("Gateway"),
		RouteTableIds:   made.RouteTables.ApplyT(routeTableIDs).(pulumi.StringArrayOutput),
		Tags:            pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(n))
	return err
}

func routeTableIDs(tables []*awsec2.RouteTable) pulumi.StringArrayOutput {
	ids := make(pulumi.StringArray, len(tables))
	for i, table := range tables {
		ids[i] = table.ID().ToStringOutput()
	}
	return ids.ToStringArrayOutput()
}

// admitPlayers declares the security group: a rule for each range of ports,
// network and protocol, and nothing else inbound. So removing a network changes no
// other rule, and a new range is admitted before the old one is removed: Pulumi deletes
// the resources that are no longer declared at the end of an update.
func (n *Network) admitPlayers(ctx *pulumi.Context, name string, args *NetworkArgs) error {
	child := pulumi.Parent(n)
	group, err := awsec2.NewSecurityGroup(ctx, name+"-sessions", &awsec2.SecurityGroupArgs{
		VpcId:       n.VPCID,
		Description: pulumi.String("DCV sessions: players to the session ports, nothing else inbound"),
		Tags:        pulumi.ToStringMap(args.Tags),
	}, child)
	if err != nil {
		return err
	}
	for i, text := range append(slices.Clone(args.FormerPorts), args.Ports.String()) {
		ports, err := contract.ParsePortRange(text)
		if err != nil {
			return err
		}
		for _, cidr := range args.PlayerCIDRs {
			for _, protocol := range []string{"tcp", "udp"} {
				rule := &vpc.SecurityGroupIngressRuleArgs{
					SecurityGroupId: group.ID(),
					Description:     pulumi.String("players to DCV sessions"),
					IpProtocol:      pulumi.String(protocol),
					FromPort:        pulumi.Int(ports.First),
					ToPort:          pulumi.Int(ports.Last),
					Tags:            pulumi.ToStringMap(args.Tags),
				}
				rule.CidrIpv4, rule.CidrIpv6 = family(cidr)
				options := []pulumi.ResourceOption{child}
				if i == 0 { // in earlier releases, rules had no range in their names: those are the first range's
					options = append(options, pulumi.Aliases([]pulumi.Alias{{Name: pulumi.String(fmt.Sprintf("%s-%s-%s", name, protocol, cidr))}}))
				}
				if _, err := vpc.NewSecurityGroupIngressRule(ctx, fmt.Sprintf("%s-%s-%s-%s", name, protocol, ports, cidr), rule, options...); err != nil {
					return err
				}
			}
		}
	}
	for _, out := range []struct{ suffix, everywhere string }{{"egress", "0.0.0.0/0"}, {"egress-ipv6", "::/0"}} {
		rule := &vpc.SecurityGroupEgressRuleArgs{
			SecurityGroupId: group.ID(),
			Description:     pulumi.String("hosts reach AWS and the game's own services"),
			IpProtocol:      pulumi.String("-1"),
			Tags:            pulumi.ToStringMap(args.Tags),
		}
		rule.CidrIpv4, rule.CidrIpv6 = family(out.everywhere)
		if _, err := vpc.NewSecurityGroupEgressRule(ctx, name+"-"+out.suffix, rule, child); err != nil {
			return err
		}
	}
	n.SecurityGroupID = group.ID().ToStringOutput()
	return nil
}

// family returns a network as the argument of its address family.
func family(cidr string) (v4, v6 pulumi.StringPtrInput) {
	if netip.MustParsePrefix(cidr).Addr().Is4() {
		return pulumi.String(cidr), nil
	}
	return nil, pulumi.String(cidr)
}
