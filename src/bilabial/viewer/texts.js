// The page's own language. props.texts: what English texts are in Chinese.

const t = (english) => (navigator.language.startsWith("zh") && props.texts?.[english]) || english;
