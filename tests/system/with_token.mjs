// The conformance suite has no way to give a token; node loads this before it and adds one to each of its requests.
import { subscribe } from "node:diagnostics_channel";

subscribe("undici:request:create", ({ request }) =>
  request.addHeader("authorization", `Bearer ${process.env.CONDUCTOR_TOKEN}`),
);
