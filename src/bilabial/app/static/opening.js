// Dark or light, as Gradio chooses it later.
{
  const theme = new URLSearchParams(location.search).get("__theme");
  const dark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.currentScript.parentElement.classList.toggle("dark", dark);
}
