package gateway

import (
	"encoding/xml"
	"testing"

	"github.com/stretchr/testify/require"
)

const ec2Version = "2016-11-15"

type ec2Tag struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

func newTemplate(t *testing.T, s sandbox, name string) {
	t.Helper()
	s.query(t, "ec2", ec2Version, "CreateLaunchTemplate", "LaunchTemplateName", name,
		"TagSpecification.1.ResourceType", "launch-template", "TagSpecification.1.Tag.1.Key", "stack", "TagSpecification.1.Tag.1.Value", "dev",
		"LaunchTemplateData.TagSpecification.1.ResourceType", "instance", "LaunchTemplateData.TagSpecification.1.Tag.1.Key", "Name", "LaunchTemplateData.TagSpecification.1.Tag.1.Value", "host",
		"LaunchTemplateData.UserData", "aGVsbG8=", "LaunchTemplateData.MetadataOptions.HttpTokens", "required",
		"LaunchTemplateData.BlockDeviceMapping.1.DeviceName", "/dev/xvda", "LaunchTemplateData.BlockDeviceMapping.1.Ebs.VolumeSize", "100")
}

func TestATemplatesOwnTagsAreNoneOfItsHosts(t *testing.T) {
	s := newSandbox(t)
	newTemplate(t, s, "hosts")
	var got struct {
		XMLName  xml.Name `xml:"http://ec2.amazonaws.com/doc/2016-11-15 DescribeLaunchTemplateVersionsResponse"`
		Versions []struct {
			Data struct {
				UserData string   `xml:"userData"`
				Tokens   string   `xml:"metadataOptions>httpTokens"`
				Size     int      `xml:"blockDeviceMappingSet>item>ebs>volumeSize"`
				Tagged   []string `xml:"tagSpecificationSet>item>resourceType"`
				Tags     []ec2Tag `xml:"tagSpecificationSet>item>tagSet>item"`
			} `xml:"launchTemplateData"`
		} `xml:"launchTemplateVersionSet>item"`
	}
	require.NoError(t, xml.Unmarshal([]byte(s.query(t, "ec2", ec2Version, "DescribeLaunchTemplateVersions", "LaunchTemplateName", "hosts")), &got))
	require.Len(t, got.Versions, 1)
	data := got.Versions[0].Data
	require.Equal(t, []string{"instance"}, data.Tagged)
	require.Equal(t, []ec2Tag{{"Name", "host"}}, data.Tags)
	require.Equal(t, "aGVsbG8=", data.UserData, "the rest is as moto says")
	require.Equal(t, "required", data.Tokens)
	require.Equal(t, 100, data.Size)
}

func TestATemplatesTagsAreTheCurrentOnes(t *testing.T) {
	s := newSandbox(t)
	newTemplate(t, s, "first")
	newTemplate(t, s, "second")
	type template struct {
		ID   string   `xml:"launchTemplateId"`
		Name string   `xml:"launchTemplateName"`
		Tags []ec2Tag `xml:"tagSet>item"`
	}
	describe := func(name string) template {
		var got struct {
			Templates []template `xml:"launchTemplates>item"`
		}
		require.NoError(t, xml.Unmarshal([]byte(s.query(t, "ec2", ec2Version, "DescribeLaunchTemplates", "LaunchTemplateName.1", name)), &got))
		require.Len(t, got.Templates, 1)
		return got.Templates[0]
	}
	first := describe("first")
	require.Equal(t, template{first.ID, "first", []ec2Tag{{"stack", "dev"}}}, first)

	s.query(t, "ec2", ec2Version, "CreateTags", "ResourceId.1", first.ID, "Tag.1.Key", "stack", "Tag.1.Value", "prod", "Tag.2.Key", "new", "Tag.2.Value", "1")
	require.ElementsMatch(t, []ec2Tag{{"new", "1"}, {"stack", "prod"}}, describe("first").Tags)
	require.Equal(t, []ec2Tag{{"stack", "dev"}}, describe("second").Tags)

	s.query(t, "ec2", ec2Version, "DeleteTags", "ResourceId.1", first.ID, "Tag.1.Key", "stack", "Tag.2.Key", "new")
	require.Empty(t, describe("first").Tags)
}
