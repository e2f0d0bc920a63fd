// LibreChat's importer of GPT Actions: read the document of the plugin at argv[2], and call what it publishes.
// Prints as JSON what it understood, and what the calls answered.

import { openapiToFunction, validateAndParseOpenAPISpec } from "librechat-data-provider";

const manifest = await (await fetch(`${process.argv[2]}/.well-known/ai-plugin.json`)).json();
const { status, message, spec, serverUrl } = validateAndParseOpenAPISpec(await (await fetch(manifest.api.url)).text());
const { functionSignatures, requestBuilders } = openapiToFunction(spec, true);

const call = async (name, parameters) => (await requestBuilders[name].setParams(parameters).execute()).data;

const first = await call("chat", { query: "北京明天天气怎么样" });
const second = await call("chat", { query: "And in Paris?", session_id: first.session_id });
const forecast = await call("get_weather_forecast", { place: "Paris", days: 2 });
const again = await call("get_answer", { session_id: first.session_id, turn_id: first.turn_id });
const transcript = await call("get_transcript", { session_id: first.session_id, limit: 1 });

console.log(
  JSON.stringify({
    status,
    message,
    serverUrl,
    functions: Object.fromEntries(functionSignatures.map(({ name, parameters }) => [name, Object.keys(parameters.properties)])),
    consequential: Object.values(requestBuilders)
      .filter(({ isConsequential }) => isConsequential)
      .map(({ operation }) => operation),
    first,
    second,
    again,
    forecast,
    transcript,
  }),
);
