package gateway

import (
	"encoding/xml"
	"net/http"
)

// ec2InstanceGroups adds an instance's security groups, which moto keeps only with
// its network interface: after a `pulumi refresh` they would be gone.
func ec2InstanceGroups() Behaviour {
	return Behaviour{Name: "ec2 instance groups", Service: "ec2", Answers: map[string]Handler{
		"RunInstances":      instanceGroups,
		"DescribeInstances": instanceGroups,
	}}
}

func instanceGroups(c *Call) (*http.Response, error) {
	res, err := c.Forward()
	if err != nil {
		return nil, err
	}
	return editXML(res, func(answer *element) error {
		for _, instances := range answer.all("instancesSet") {
			for _, instance := range instances.Children {
				showGroups(instance)
			}
		}
		return nil
	})
}

// showGroups adds the groups of an instance's first network interface.
func showGroups(instance *element) {
	shown := instance.child("groupSet")
	if shown == nil {
		shown = &element{XMLName: xml.Name{Local: "groupSet"}}
		instance.Children = append(instance.Children, shown)
	}
	if interfaces := instance.child("networkInterfaceSet"); len(shown.Children) == 0 && interfaces != nil && len(interfaces.Children) > 0 {
		if groups := interfaces.Children[0].child("groupSet"); groups != nil {
			shown.Children = groups.Children
		}
	}
}
