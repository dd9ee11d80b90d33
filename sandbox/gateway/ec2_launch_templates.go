package gateway

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// ec2LaunchTemplates corrects the tags of launch templates. moto lists a new
// template's own tags among those of its hosts, and never changes the template's own
// tags; a later `pulumi up` would set both again.
func ec2LaunchTemplates() Behaviour {
	return Behaviour{Name: "ec2 launch template tags", Service: "ec2", Answers: map[string]Handler{
		"DescribeLaunchTemplates":        currentTags,
		"DescribeLaunchTemplateVersions": hostTags,
	}}
}

// currentTags replaces a template's tags by those of DescribeTags, which moto keeps
// up to date.
func currentTags(c *Call) (*http.Response, error) {
	res, err := c.Forward()
	if err != nil {
		return nil, err
	}
	return editXML(res, func(answer *element) error {
		templates := answer.all("launchTemplateId")
		if len(templates) == 0 {
			return nil
		}
		tags, err := askTags(c, templates)
		if err != nil {
			return err
		}
		for _, list := range answer.Children {
			for _, template := range list.Children {
				id := template.text("launchTemplateId")
				template.remove(func(e *element) bool { return e.XMLName.Local == "tagSet" })
				if len(tags[id]) > 0 {
					template.Children = append(template.Children, &element{XMLName: xml.Name{Local: "tagSet"}, Children: tags[id]})
				}
			}
		}
		return nil
	})
}

// askTags returns the tags of resources, by id, as EC2 writes them.
func askTags(c *Call, resources []*element) (map[string][]*element, error) {
	form := url.Values{"Action": {"DescribeTags"}, "Version": {"2016-11-15"}, "Filter.1.Name": {"resource-id"}}
	for i, id := range resources {
		form.Set(fmt.Sprintf("Filter.1.Value.%d", i+1), id.Text)
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	res, err := c.send(http.MethodPost, "/", header, []byte(form.Encode()))
	if err != nil {
		return nil, err
	}
	tags := map[string][]*element{}
	_, err = editXML(res, func(answer *element) error {
		for _, list := range answer.Children {
			for _, tag := range list.Children {
				id := tag.text("resourceId")
				tag.remove(func(e *element) bool { return strings.HasPrefix(e.XMLName.Local, "resource") })
				tags[id] = append(tags[id], tag)
			}
		}
		return nil
	})
	return tags, err
}

// hostTags removes the template's own tags from those of its hosts.
func hostTags(c *Call) (*http.Response, error) {
	res, err := c.Forward()
	if err != nil {
		return nil, err
	}
	return editXML(res, func(answer *element) error {
		for _, set := range answer.all("tagSpecificationSet") {
			set.remove(func(e *element) bool { return e.text("resourceType") == "launch-template" })
		}
		return nil
	})
}
