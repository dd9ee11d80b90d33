package gateway

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// resourceTypes are EC2's types of resources, by the prefix of their ids.
var resourceTypes = map[string]string{
	"ami": "image", "eni": "network-interface", "i": "instance", "igw": "internet-gateway", "lt": "launch-template", "rtb": "route-table",
	"sg": "security-group", "sgr": "security-group-rule", "subnet": "subnet", "vol": "volume", "vpc": "vpc", "vpce": "vpc-endpoint",
}

// existing returns the needs of a call about existing resources.
func (r *Rights) existing(c *Call, ids []string) ([]need, error) {
	var needs []need
	for _, id := range ids {
		prefix, _, _ := strings.Cut(id, "-")
		kind, known := resourceTypes[prefix]
		if !known {
			return nil, undecided(id, notKnown("the type of this resource"))
		}
		tags, err := r.ec2Tags(c.Request.Context(), id)
		if err != nil {
			return nil, err
		}
		arn := arnOf(c, "ec2", kind+"/"+id)
		if kind == "image" { // most belong to another account: their ARNs have none
			arn = "arn:aws:ec2:" + c.Region + "::image/" + id
		}
		needs = append(needs, need{resource: arn, requestTags: map[string]string{}, resourceTags: tags})
	}
	return needs, nil
}

// ec2Tags returns a resource's tags.
func (r *Rights) ec2Tags(ctx context.Context, id string) (map[string]string, error) {
	answer, err := r.ask(ctx, "ec2", "DescribeTags", "Filter.1.Name", "resource-id", "Filter.1.Value.1", id)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	for _, item := range answer.all("item") {
		tags[item.text("key")] = item.text("value")
	}
	return tags, nil
}

// instances returns the needs of a call about instances, named by InstanceId or
// InstanceId.N.
func instances(r *Rights, c *Call) ([]need, error) {
	in, err := form(c)
	if err != nil {
		return nil, err
	}
	return r.existing(c, members(in, regexp.MustCompile(`^InstanceId(\.\d+)?$`)))
}

// retagged returns the needs of CreateTags and DeleteTags. They have no
// ec2:CreateAction: only tags that come with a new resource have it.
func retagged(r *Rights, c *Call) ([]need, error) {
	in, err := form(c)
	if err != nil {
		return nil, err
	}
	needs, err := r.existing(c, members(in, regexp.MustCompile(`^ResourceId\.\d+$`)))
	for i := range needs {
		needs[i].requestTags, needs[i].keys = pairs(in, "Tag."), map[string]string{"ec2:createaction": ""}
	}
	return needs, err
}

// The resources that every RunInstances creates, and the parameters that would add
// others to the call (Service Authorization Reference, "Actions defined by Amazon
// EC2").
var (
	launched = []string{"instance", "network-interface", "volume"}
	placedIn = regexp.MustCompile(`^(NetworkInterface\.\d+\.)?(SubnetId|SecurityGroupId\.\d+)$|^ImageId$`)
	further  = regexp.MustCompile(`^(KeyName|LaunchTemplate\..+|Placement\.Group.*|CapacityReservation.*|LicenseSpecification.*|Elastic.*|` +
		`NetworkInterface\.\d+\.NetworkInterfaceId|BlockDeviceMapping\.\d+\.Ebs\.SnapshotId|SecurityGroup\.\d+)$`)
)

// launch returns the needs of RunInstances: everything that it creates, with the tags
// from the call, and everything that it uses. The tags need ec2:CreateTags too, and
// an instance profile iam:PassRole.
func launch(r *Rights, c *Call) ([]need, error) {
	in, err := form(c)
	if err != nil {
		return nil, err
	}
	if more := parameters(in, further); len(more) > 0 {
		return nil, undecided("the caller", notKnown("all resources of such a RunInstances: %s", strings.Join(more, ", ")))
	}
	tags := launchTags(in)
	var needs []need
	for _, kind := range launched {
		needs = append(needs, need{resource: arnOf(c, "ec2", kind+"/*"), requestTags: tags[kind], resourceTags: map[string]string{}})
	}
	taken, err := r.existing(c, members(in, placedIn))
	if err != nil {
		return nil, err
	}
	needs = append(needs, taken...)
	for _, kind := range launched {
		if len(tags[kind]) > 0 {
			needs = append(needs, need{action: "ec2:CreateTags", resource: arnOf(c, "ec2", kind+"/*"), requestTags: tags[kind],
				resourceTags: map[string]string{}, keys: map[string]string{"ec2:createaction": "RunInstances"}})
		}
	}
	profile := in.Get("IamInstanceProfile.Name")
	if arn := in.Get("IamInstanceProfile.Arn"); profile == "" && arn != "" {
		profile = path.Base(arn)
	}
	passed, err := r.passed(c, profile)
	return append(needs, passed...), err
}

// launchTags returns the tags that RunInstances gives the resources that it creates,
// by their type.
func launchTags(in url.Values) map[string]map[string]string {
	tags := map[string]map[string]string{}
	for _, kind := range launched {
		tags[kind] = map[string]string{}
	}
	for i := 1; ; i++ {
		specification := fmt.Sprintf("TagSpecification.%d.", i)
		kind := in.Get(specification + "ResourceType")
		if kind == "" {
			return tags
		}
		if tags[kind] == nil {
			tags[kind] = map[string]string{}
		}
		maps.Copy(tags[kind], pairs(in, specification+"Tag."))
	}
}

// passed returns the needs of passing an instance profile's role to EC2; none without
// a profile.
func (r *Rights) passed(c *Call, profile string) ([]need, error) {
	if profile == "" {
		return nil, nil
	}
	answer, err := r.ask(c.Request.Context(), "iam", "GetInstanceProfile", "InstanceProfileName", profile)
	if err != nil {
		return nil, err
	}
	var needs []need
	for _, roles := range answer.all("Roles") {
		for _, member := range roles.Children {
			needs = append(needs, need{action: "iam:PassRole", resource: member.text("Arn"), keys: map[string]string{"iam:passedtoservice": "ec2.amazonaws.com"}})
		}
	}
	return needs, nil
}

// members returns the values of the parameters with such names, in the names' order.
func members(in url.Values, name *regexp.Regexp) []string {
	var values []string
	for _, parameter := range parameters(in, name) {
		values = append(values, in[parameter]...)
	}
	return values
}

func parameters(in url.Values, name *regexp.Regexp) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(in)), func(parameter string) bool { return !name.MatchString(parameter) })
}

// pairs returns the tags of a list in the query protocol.
func pairs(in url.Values, prefix string) map[string]string {
	tags := map[string]string{}
	for i := 1; in.Has(fmt.Sprintf("%s%d.Key", prefix, i)); i++ {
		tags[in.Get(fmt.Sprintf("%s%d.Key", prefix, i))] = in.Get(fmt.Sprintf("%s%d.Value", prefix, i))
	}
	return tags
}
