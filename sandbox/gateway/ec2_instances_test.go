package gateway

import (
	"encoding/xml"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnInstanceShowsItsSecurityGroups(t *testing.T) {
	s := newSandbox(t)
	var subnets struct {
		ID  string `xml:"subnetSet>item>subnetId"`
		VPC string `xml:"subnetSet>item>vpcId"`
	}
	require.NoError(t, xml.Unmarshal([]byte(s.query(t, "ec2", ec2Version, "DescribeSubnets")), &subnets))
	var group struct {
		ID string `xml:"groupId"`
	}
	require.NoError(t, xml.Unmarshal([]byte(s.query(t, "ec2", ec2Version, "CreateSecurityGroup", "GroupName", "hosts", "GroupDescription", "hosts", "VpcId", subnets.VPC)), &group))
	var image struct {
		ID []string `xml:"imagesSet>item>imageId"`
	}
	require.NoError(t, xml.Unmarshal([]byte(s.query(t, "ec2", ec2Version, "DescribeImages", "Owner.1", "amazon")), &image))
	var started struct {
		ID     string   `xml:"instancesSet>item>instanceId"`
		Groups []string `xml:"instancesSet>item>groupSet>item>groupId"`
	}
	run := []string{"ImageId", image.ID[0], "InstanceType", "c6i.xlarge", "MinCount", "1", "MaxCount", "1", "SubnetId", subnets.ID, "SecurityGroupId.1", group.ID}
	require.NoError(t, xml.Unmarshal([]byte(s.query(t, "ec2", ec2Version, "RunInstances", run...)), &started))
	require.Equal(t, []string{group.ID}, started.Groups)
	var described struct {
		Groups []string `xml:"reservationSet>item>instancesSet>item>groupSet>item>groupId"`
	}
	require.NoError(t, xml.Unmarshal([]byte(s.query(t, "ec2", ec2Version, "DescribeInstances", "InstanceId.1", started.ID)), &described))
	require.Equal(t, []string{group.ID}, described.Groups)
}
