import { render } from "preact";

import { listenToAddress } from "./app/route.js";
import { Shell } from "./app/shell.js";
import { startTheme } from "./app/theme.js";

startTheme();
listenToAddress();
const app = document.getElementById("app")!;
app.replaceChildren();
render(<Shell />, app);
