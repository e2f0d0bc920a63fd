"""LangChain's reader of plugin manifests: print as JSON what it makes of the plugin at the URL that it is given."""

import json
import sys

from langchain_community.tools.plugin import AIPluginTool

tool = AIPluginTool.from_plugin_url(f"{sys.argv[1]}/.well-known/ai-plugin.json")
print(json.dumps({"name": tool.name, "description": tool.description, "told": tool.run("")}))
