package network_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/network"
	"github.com/intraverse/dcv-sessions/contract"
)

const (
	component  = "dcv:network:Network"
	newVPC     = "awsx:ec2:Vpc"
	endpoint   = "aws:ec2/vpcEndpoint:VpcEndpoint"
	routeTable = "aws:ec2/routeTable:RouteTable"
	group      = "aws:ec2/securityGroup:SecurityGroup"
	ingress    = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
	egress     = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
	getSubnet  = "aws:ec2/getSubnet:getSubnet"
)

var tags = map[string]string{"dcv-sessions:project": "dcv-sessions"}

func existing() network.NetworkArgs {
	return network.NetworkArgs{
		VPCID:       "vpc-1",
		SubnetIDs:   []string{"subnet-a", "subnet-b"},
		Ports:       contract.PortRange{First: 8443, Last: 8446},
		PlayerCIDRs: []string{"203.0.113.0/24", "2001:db8::/32"},
		Tags:        tags,
	}
}

func fresh() network.NetworkArgs {
	args := existing()
	args.VPCID, args.SubnetIDs, args.CIDRBlock, args.Zones = "", nil, "10.20.0.0/16", 3
	return args
}

// run also gives the outputs; "" for an unknown one.
func run(t *testing.T, mode componenttest.Mode, args network.NetworkArgs, options ...componenttest.Option) (*componenttest.Run, map[string]string) {
	t.Helper()
	given := map[string]string{}
	r := componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		made, err := network.NewNetwork(ctx, "network", &args)
		if err != nil {
			return err
		}
		known := make(chan struct{})
		pulumi.All(made.VPCID, made.SubnetIDs, made.SecurityGroupID).ApplyT(func(all []any) error {
			given["vpc"], given["subnets"], given["group"] = all[0].(string), strings.Join(all[1].([]string), " "), all[2].(string)
			close(known)
			return nil
		})
		if mode == componenttest.Update {
			<-known
		}
		return nil
	}, options...)
	return r, given
}

// known leaves out the values that a preview does not know yet.
func known(inputs map[string]any) map[string]any {
	maps.DeleteFunc(inputs, func(_ string, value any) bool { return value == componenttest.Unknown })
	return inputs
}

// computed is a value that only an update knows.
func computed(mode componenttest.Mode, value any) any {
	if mode == componenttest.Preview {
		return componenttest.Unknown
	}
	return value
}

func rule(mode componenttest.Mode, inputs map[string]any) map[string]any {
	inputs["securityGroupId"] = computed(mode, "network-sessions-id")
	inputs["tags"] = map[string]any{"dcv-sessions:project": "dcv-sessions"}
	return known(inputs)
}

func TestPlayersReachTheSessionPortsAndNothingElse(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r, _ := run(t, mode, existing())
		r.Must(t)
		assert.Equal(t, []string{
			group + " network-sessions",
			egress + " network-egress",
			egress + " network-egress-ipv6",
			ingress + " network-tcp-8443-8446-2001:db8::/32",
			ingress + " network-tcp-8443-8446-203.0.113.0/24",
			ingress + " network-udp-8443-8446-2001:db8::/32",
			ingress + " network-udp-8443-8446-203.0.113.0/24",
			component + " network",
		}, r.Names())
		assert.Equal(t, map[string]any{
			"vpcId":       "vpc-1",
			"description": "DCV sessions: players to the session ports, nothing else inbound",
			"tags":        map[string]any{"dcv-sessions:project": "dcv-sessions"},
		}, r.One(t, group).Inputs, "no inline rule")
		for _, protocol := range []string{"tcp", "udp"} {
			for property, cidr := range map[string]string{"cidrIpv4": "203.0.113.0/24", "cidrIpv6": "2001:db8::/32"} {
				assert.Equal(t, rule(mode, map[string]any{
					"description": "players to DCV sessions", "ipProtocol": protocol, "fromPort": 8443., "toPort": 8446., property: cidr,
				}), known(r.Named(t, ingress, "network-"+protocol+"-8443-8446-"+cidr).Inputs))
			}
		}
		for name, way := range map[string][2]string{"network-egress": {"cidrIpv4", "0.0.0.0/0"}, "network-egress-ipv6": {"cidrIpv6", "::/0"}} {
			assert.Equal(t, rule(mode, map[string]any{
				"description": "hosts reach AWS and the game's own services", "ipProtocol": "-1", way[0]: way[1],
			}), known(r.Named(t, egress, name).Inputs))
		}
		for _, made := range r.Resources {
			if made.Type != component {
				assert.Equal(t, "network", made.Parent, made.Name)
			}
		}
	})
}

func TestAnExistingVPCIsLookedAtAndLeftAlone(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r, given := run(t, mode, existing())
		r.Must(t)
		assert.Equal(t, []string{getSubnet, getSubnet}, r.Calls)
		assert.Empty(t, r.OfType(newVPC))
		assert.Empty(t, r.OfType(endpoint))
		if mode == componenttest.Update {
			assert.Equal(t, map[string]string{"vpc": "vpc-1", "subnets": "subnet-a subnet-b", "group": "network-sessions-id"}, given)
		}
	})
}

func TestExistingSubnetsThatCannotServeAreRefusedTogetherAtPreview(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		args := existing()
		args.SubnetIDs = []string{"subnet-good", "subnet-private", "subnet-elsewhere", "subnet-gone"}
		r, _ := run(t, mode, args, componenttest.WithCall(getSubnet, func(asked map[string]any) (map[string]any, error) {
			subnet := map[string]any{"id": asked["id"], "vpcId": "vpc-1", "mapPublicIpOnLaunch": true}
			switch asked["id"] {
			case "subnet-private":
				subnet["mapPublicIpOnLaunch"] = false
			case "subnet-elsewhere":
				subnet["vpcId"] = "vpc-2"
			case "subnet-gone":
				return nil, fmt.Errorf("InvalidSubnetID.NotFound")
			}
			return subnet, nil
		}))
		require.Error(t, r.Err)
		assert.ErrorContains(t, r.Err, "network has 3 faults")
		assert.ErrorContains(t, r.Err, `subnetIds is "subnet-private"; allowed: a subnet that gives hosts a public address`)
		assert.ErrorContains(t, r.Err, `subnetIds is "subnet-elsewhere"; allowed: a subnet of vpc-1; this one is of vpc-2`)
		assert.ErrorContains(t, r.Err, `subnetIds is "subnet-gone"; allowed: an existing subnet`)
		assert.ErrorContains(t, r.Err, "InvalidSubnetID.NotFound")
		assert.NotContains(t, r.Err.Error(), "subnet-good")
		assert.Equal(t, []string{component + " network"}, r.Names(), "nothing of AWS")
	})
}

// routed makes the mock's new VPC have route tables, as awsx's has.
func routed() (declare func(*pulumi.Context) error, options []componenttest.Option) {
	names := []string{"network-public-1", "network-public-2"}
	var references []any
	for _, name := range names {
		urn := resource.URN("urn:pulumi:" + componenttest.Stack + "::" + componenttest.Project + "::" + routeTable + "::" + name)
		references = append(references, resource.MakeCustomResourceReference(urn, resource.ID(name+"-id"), "").V)
	}
	declare = func(ctx *pulumi.Context) error {
		for _, name := range names {
			table, err := ec2.NewRouteTable(ctx, name, &ec2.RouteTableArgs{VpcId: pulumi.String("vpc-new")})
			if err != nil {
				return err
			}
			registered := make(chan struct{})
			table.URN().ApplyT(func(pulumi.URN) error { close(registered); return nil })
			<-registered
		}
		return nil
	}
	return declare, []componenttest.Option{
		componenttest.WithType(routeTable, nil),
		componenttest.WithType(newVPC, func(string, map[string]any) map[string]any {
			return map[string]any{"vpcId": "vpc-new", "publicSubnetIds": []any{"subnet-new-a", "subnet-new-b"}, "routeTables": references}
		}),
	}
}

func TestANewVPCHasPublicSubnetsOnlyAndAWayToS3(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		declare, options := routed()
		args := fresh()
		r := componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
			if err := declare(ctx); err != nil {
				return err
			}
			_, err := network.NewNetwork(ctx, "network", &args)
			return err
		}, options...).Must(t)

		made := r.One(t, newVPC)
		assert.Equal(t, "network", made.Parent)
		assert.Equal(t, map[string]any{
			"cidrBlock":                 "10.20.0.0/16",
			"numberOfAvailabilityZones": 3.,
			"availabilityZoneCidrMask":  19.,
			"enableDnsHostnames":        true,
			"natGateways":               map[string]any{"strategy": "None"},
			"subnetStrategy":            "Auto",
			"subnetSpecs":               []any{map[string]any{"type": "Public"}},
			"tags":                      map[string]any{"dcv-sessions:project": "dcv-sessions"},
		}, made.Inputs)

		s3 := r.One(t, endpoint)
		assert.Equal(t, "network", s3.Parent)
		assert.Equal(t, known(map[string]any{
			"vpcId":           computed(mode, "vpc-new"),
			"serviceName":     "com.amazonaws." + componenttest.Region + ".s3",
			"vpcEndpointType": "Gateway",
			"routeTableIds":   computed(mode, []any{"network-public-1-id", "network-public-2-id"}),
			"tags":            map[string]any{"dcv-sessions:project": "dcv-sessions"},
		}), known(s3.Inputs))
		if mode == componenttest.Update {
			assert.Equal(t, "vpc-new", r.One(t, group).Inputs["vpcId"])
		}
		assert.NotContains(t, r.Calls, getSubnet)
	})
}

func TestANewVPCGivesItsIdAndPublicSubnets(t *testing.T) {
	r, given := run(t, componenttest.Update, fresh())
	r.Must(t)
	assert.Equal(t, map[string]string{"vpc": "vpc-new", "subnets": "subnet-new-a subnet-new-b", "group": "network-sessions-id"}, given)
}

func TestOneMoreZoneMovesNoSubnet(t *testing.T) {
	masks := map[string]float64{"10.20.0.0/16": 19, "10.0.0.0/24": 27}
	for block, mask := range masks {
		for zones := 2; zones <= 6; zones++ {
			args := fresh()
			args.CIDRBlock, args.Zones = block, zones
			r, _ := run(t, componenttest.Preview, args)
			assert.Equal(t, mask, r.Must(t).One(t, newVPC).Inputs["availabilityZoneCidrMask"], "%s, %d zones", block, zones)
		}
	}
}

func TestTakingANetworkAwayChangesNoOtherRule(t *testing.T) {
	before, after := existing(), existing()
	before.PlayerCIDRs = []string{"198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"}
	after.PlayerCIDRs = []string{"2001:db8::/32", "198.51.100.0/24"}
	rules := func(args network.NetworkArgs) map[string]map[string]any {
		r, _ := run(t, componenttest.Update, args)
		all := map[string]map[string]any{}
		for _, one := range r.Must(t).OfType(ingress) {
			all[one.Name] = one.Inputs
		}
		return all
	}
	want := rules(before)
	delete(want, "network-tcp-8443-8446-203.0.113.0/24")
	delete(want, "network-udp-8443-8446-203.0.113.0/24")
	assert.Equal(t, want, rules(after))
}

// admitted are the rules by name, each with the ports that it admits and the
// name that it had before.
func admitted(t *testing.T, mode componenttest.Mode, args network.NetworkArgs) map[string]string {
	t.Helper()
	args.PlayerCIDRs = []string{"203.0.113.0/24"}
	r, _ := run(t, mode, args)
	rules := map[string]string{}
	for _, one := range r.Must(t).OfType(ingress) {
		rules[one.Name] = strings.TrimSpace(fmt.Sprintf("%v-%v %s", one.Inputs["fromPort"], one.Inputs["toPort"], strings.Join(one.Aliases, " ")))
	}
	return rules
}

func TestAnotherRangeIsAdmittedBesideTheFormerOneAndNoRuleChangesItsPorts(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		args := existing()
		assert.Equal(t, map[string]string{
			"network-tcp-8443-8446-203.0.113.0/24": "8443-8446 network-tcp-203.0.113.0/24",
			"network-udp-8443-8446-203.0.113.0/24": "8443-8446 network-udp-203.0.113.0/24",
		}, admitted(t, mode, args))

		args.Ports, args.FormerPorts = contract.PortRange{First: 8445, Last: 8448}, []string{"8443-8446"}
		assert.Equal(t, map[string]string{
			"network-tcp-8443-8446-203.0.113.0/24": "8443-8446 network-tcp-203.0.113.0/24",
			"network-udp-8443-8446-203.0.113.0/24": "8443-8446 network-udp-203.0.113.0/24",
			"network-tcp-8445-8448-203.0.113.0/24": "8445-8448",
			"network-udp-8445-8448-203.0.113.0/24": "8445-8448",
		}, admitted(t, mode, args), "the rules that are there stay, whatever they are called in the state")
	})
}

func TestTheWholeInternetNeedsTheFlag(t *testing.T) {
	for _, world := range []string{"0.0.0.0/0", "::/0"} {
		args := existing()
		args.PlayerCIDRs = []string{world}
		r, _ := run(t, componenttest.Preview, args)
		require.Error(t, r.Err, world)
		assert.ErrorContains(t, r.Err, fmt.Sprintf("is %q; allowed: the whole internet only if openToWorld is true", world))

		args.OpenToWorld = true
		r, _ = run(t, componenttest.Preview, args)
		assert.Len(t, r.Must(t).OfType(ingress), 2)
	}
}

func TestEachFaultIsRefusedBeforeAnythingIsDeclared(t *testing.T) {
	for name, fault := range map[string]struct {
		change func(*network.NetworkArgs)
		want   string
	}{
		"no player network":       {func(a *network.NetworkArgs) { a.PlayerCIDRs = nil }, "playerCidrs is []; allowed: one or more IPv4 and IPv6 networks"},
		"no network at all":       {func(a *network.NetworkArgs) { a.PlayerCIDRs = []string{"office"} }, `"office"; allowed: an IPv4 or IPv6 network`},
		"an address":              {func(a *network.NetworkArgs) { a.PlayerCIDRs = []string{"203.0.113.7"} }, `"203.0.113.7"; allowed: an IPv4 or IPv6 network`},
		"host bits":               {func(a *network.NetworkArgs) { a.PlayerCIDRs = []string{"203.0.113.7/24"} }, "without host bits: 203.0.113.0/24?"},
		"IPv6 host bits":          {func(a *network.NetworkArgs) { a.PlayerCIDRs = []string{"2001:db8::1/32"} }, "without host bits: 2001:db8::/32?"},
		"IPv6 in another form":    {func(a *network.NetworkArgs) { a.PlayerCIDRs = []string{"2001:DB8:0::/32"} }, "in its plain form: 2001:db8::/32"},
		"IPv4 within IPv6":        {func(a *network.NetworkArgs) { a.PlayerCIDRs = []string{"::ffff:203.0.113.0/120"} }, "an IPv4 or IPv6 network"},
		"a network twice":         {func(a *network.NetworkArgs) { a.PlayerCIDRs = []string{"10.0.0.0/8", "10.0.0.0/8"} }, "it overlaps 10.0.0.0/8"},
		"one within another":      {func(a *network.NetworkArgs) { a.PlayerCIDRs = []string{"10.1.0.0/16", "10.0.0.0/8"} }, `"10.0.0.0/8"; allowed: a network apart from the others: it overlaps 10.1.0.0/16`},
		"a privileged port":       {func(a *network.NetworkArgs) { a.Ports.First = 1024 }, "ports is 1024-8446; allowed"},
		"a port too high":         {func(a *network.NetworkArgs) { a.Ports.Last = 65536 }, "ports is 8443-65536; allowed"},
		"ports in reverse":        {func(a *network.NetworkArgs) { a.Ports.Last = 8442 }, "ports is 8443-8442; allowed"},
		"a former port too low":   {func(a *network.NetworkArgs) { a.FormerPorts = []string{"80-81"} }, `formerPorts[0] is "80-81"; allowed: ranges within 1025-65535 other than the present one, such as 8443-8446, each once`},
		"a former range admitted": {func(a *network.NetworkArgs) { a.FormerPorts = []string{a.Ports.String()} }, `formerPorts[0] is "8443-8446"; allowed`},
		"a former port alone":     {func(a *network.NetworkArgs) { a.FormerPorts = []string{"9443"} }, `formerPorts[0] is "9443"; allowed`},
		"a former range twice":    {func(a *network.NetworkArgs) { a.FormerPorts = []string{"9443-9446", "9443-9446"} }, `formerPorts[1] is "9443-9446"; allowed`},
		"a VPC without subnets":   {func(a *network.NetworkArgs) { a.SubnetIDs = nil }, "subnetIds is []; allowed: one or more subnets of vpc-1"},
		"subnets without a VPC":   {func(a *network.NetworkArgs) { a.VPCID = "" }, `vpcId is ""; allowed: the VPC of the subnets in subnetIds`},
		"a subnet twice":          {func(a *network.NetworkArgs) { a.SubnetIDs[1] = "subnet-a" }, `subnetIds[1] is "subnet-a"; allowed: ids of subnets of the VPC, subnet-…, each once`},
		"a block with host bits":  {func(a *network.NetworkArgs) { *a = fresh(); a.CIDRBlock = "10.20.0.1/16" }, `cidrBlock is "10.20.0.1/16"`},
		"a block too large":       {func(a *network.NetworkArgs) { *a = fresh(); a.CIDRBlock = "10.0.0.0/15" }, `cidrBlock is "10.0.0.0/15"`},
		"a block too small":       {func(a *network.NetworkArgs) { *a = fresh(); a.CIDRBlock = "10.0.0.0/25" }, `cidrBlock is "10.0.0.0/25"`},
		"an IPv6 block":           {func(a *network.NetworkArgs) { *a = fresh(); a.CIDRBlock = "2001:db8::/20" }, `cidrBlock is "2001:db8::/20"`},
		"no block":                {func(a *network.NetworkArgs) { *a = fresh(); a.CIDRBlock = "" }, `cidrBlock is ""`},
		"one zone":                {func(a *network.NetworkArgs) { *a = fresh(); a.Zones = 1 }, "zones is 1; allowed: a whole number from 2 to 6"},
		"more zones than allowed": {func(a *network.NetworkArgs) { *a = fresh(); a.Zones = 7 }, "zones is 7; allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			args := existing()
			fault.change(&args)
			r, _ := run(t, componenttest.Preview, args)
			require.Error(t, r.Err)
			assert.ErrorContains(t, r.Err, fault.want)
			assert.Empty(t, r.Resources)
			assert.Empty(t, r.Calls)
		})
	}
}

func TestAllFaultsAreToldInOneRun(t *testing.T) {
	args := fresh()
	args.CIDRBlock, args.Zones, args.Ports = "10.0.0.0/8", 1, contract.PortRange{First: 80, Last: 81}
	args.PlayerCIDRs = []string{"office", "10.0.0.1/8", "0.0.0.0/0"}
	r, _ := run(t, componenttest.Preview, args)
	require.Error(t, r.Err)
	assert.ErrorContains(t, r.Err, "network has 6 faults")
	for _, path := range []string{"cidrBlock is ", "zones is ", "ports is ", `"office"`, `"10.0.0.1/8"`, `"0.0.0.0/0"`} {
		assert.ErrorContains(t, r.Err, path)
	}
}
