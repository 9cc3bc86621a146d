// The documentation of the endpoint, which Swagger UI draws from the types in /openapi.json.
"use strict";
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, tryItOutEnabled: true });
