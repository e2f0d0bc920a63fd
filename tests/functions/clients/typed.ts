// A client that is typed by what openapi-typescript makes of the document: it compiles only where the types say what is meant.

import type { components, operations } from "./openapi";

type Body<Operation extends { requestBody: { content: { "application/json": unknown } } }> =
  Operation["requestBody"]["content"]["application/json"];

export const begin: Body<operations["chat"]> = { query: "北京明天天气怎么样" };
export const goOn: Body<operations["chat"]> = { query: "And in Paris?", session_id: "token" };
export const forecast: Body<operations["get_weather_forecast"]> = { place: "Paris", days: 2 };

export const coldest = (found: components["schemas"]["Forecast"]): number => Math.min(...found.days.map((day) => day.low ?? Infinity));
export const words = (answer: operations["chat"]["responses"]["200"]["content"]["application/json"]): string => answer.answer;
export const fault = (answer: operations["chat"]["responses"]["504"]["content"]["application/json"]): boolean => answer.error.retryable;

// @ts-expect-error A question is required.
export const empty: Body<operations["chat"]> = {};
// @ts-expect-error A number is no place.
export const numbered: Body<operations["get_weather_forecast"]> = { place: 5 };
